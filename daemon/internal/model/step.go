package model

// Step is one step of a test that a person asked for, in the order they were
// taken. The test ends with the first step that is not OK.
type Step struct {
	Name string  `json:"name"`
	OK   bool    `json:"ok"`
	MS   float64 `json:"ms"`   // how long it took
	Text string  `json:"text"` // what was found, in words
}
