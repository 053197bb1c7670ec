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

// ConfigReport is what the check of the configuration file said.
type ConfigReport struct {
	OK       bool      `json:"ok"`
	Errors   []Problem `json:"errors"`
	Warnings []Problem `json:"warnings"`
	Costs    []Cost    `json:"costs"`
	Path     string    `json:"path"`
}
