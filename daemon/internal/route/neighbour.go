package route

// neighbour tells whether another program routes user traffic, by the rules that it
// has in the kernel: what is installed but does not run has none.
func neighbour(rules []Rule) (name, evidence string) {
	for _, r := range rules {
		if !r.ours() && mwan3(r) {
			return "mwan3", "ip rule " + r.String()
		}
	}
	return "", ""
}

// mwan3 rules come in three kinds per interface n of up to 250: 1000+n by the
// device that packets come in by, 2000+n and 3000+n by mark; the table is n.
func mwan3(r Rule) bool {
	n := r.Pref % 1000
	if r.Pref < 1000 || r.Pref > 3999 || n < 1 || n > 250 {
		return false
	}
	switch r.Pref / 1000 {
	case 1:
		return r.In != "" && r.Table == n
	case 2:
		return r.Mask != 0 && r.Table == n
	}
	return false // what has no table of its own proves nothing
}

// neighbourly are the priorities at which a change of anybody's rules may be that
// of a neighbour.
func neighbourly(pref uint32) bool { return pref >= 1000 && pref <= 3999 }
