package model

// Check is one step of a diagnosis. A check whose parent failed is not ok and
// says so: it was not looked at.
type Check struct {
	Name      string `json:"name"`
	OK        bool   `json:"ok"`
	Text      string `json:"text"`
	Fix       string `json:"fix"`
	DependsOn string `json:"depends_on"` // name of the parent, "" for a root
}
