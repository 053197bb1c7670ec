package relay

import "time"

// quota bounds how many authentications the modem gets per hour. It starts full, and fills
// again evenly.
type quota struct {
	until instant // when it would be full again
}

// take uses one of perHour, and tells whether there was one. 0 has no bound.
func (q *quota) take(now instant, perHour int) bool {
	if perHour <= 0 {
		return true
	}
	each := instant(time.Hour) / instant(perHour)
	until := max(q.until, now)
	if until-now > instant(time.Hour)-each {
		return false
	}
	q.until = until + each
	return true
}

// authenticates tells AUTHENTICATE and RUN GSM ALGORITHM: what uses the card's key (TS
// 31.102 §7.1.1, TS 51.011 §9.2.16).
func authenticates(tpdu []byte) bool {
	return len(tpdu) >= 2 && (tpdu[1] == insAuthenticate || tpdu[1] == insAuthenticateOdd)
}
