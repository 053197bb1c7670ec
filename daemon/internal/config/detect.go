package config

import "github.com/terminills/remsim-openwrt/daemon/internal/model"

// Detect says how eagerly links are probed. Its numbers are model.Probing, to
// which package probe keeps.
type Detect = model.Detect

// The ways to detect.
const (
	DetectFast   = model.DetectFast
	DetectNormal = model.DetectNormal
	DetectFrugal = model.DetectFrugal
)
