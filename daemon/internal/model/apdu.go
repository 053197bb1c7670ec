package model

// APDU is one entry of a session's trace. Secrets and identities in Command and
// Response are hidden already.
type APDU struct {
	ID       int64   `json:"id"`   // grows, and never repeats
	Time     int64   `json:"time"` // Unix seconds
	Modem    string  `json:"modem"`
	MS       float64 `json:"ms"`       // from the modem's command to the answer
	Command  string  `json:"command"`  // hex; hidden parts as {16 bytes hidden}
	Name     string  `json:"name"`     // instruction, file and channel in words
	Response string  `json:"response"` // hex without the status word
	Status   string  `json:"status"`   // status word, and what it means
}
