package config

import (
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// acts tells whether this version does anything with an option.
func acts(section, name string) bool {
	return slices.ContainsFunc(Options(), func(o Option) bool { return o.Section == section && o.Name == name && o.Later == "" })
}

// warnLater says of everything that is set and has no effect yet that it is so.
func (b *builder) warnLater(c *Config) {
	all, acting := make(map[string][]Option), make(map[string]bool)
	for _, o := range Options() {
		if o.Later != "" {
			all[o.Section] = append(all[o.Section], o)
		} else {
			acting[o.Section] = true
		}
	}
	for _, s := range b.file.Sections {
		v := values{b: b, typ: s.Type, sec: s}
		v.iot = s.Type == "modem" && written(s, "role") == string(model.RoleIoT)
		var set []Option
		for _, o := range all[s.Type] {
			if v.differs(c, o) {
				set = append(set, o)
			}
		}
		switch {
		case len(set) == 0, !acting[s.Type] && v.off():
		case len(set) > 1 && !acting[s.Type]:
			v.warn("", "", "this section is accepted and has no effect yet: %s", set[0].Later)
		default:
			for _, o := range set {
				v.warn(o.Name, written(s, o.Name), "is accepted and has no effect yet: %s", o.Later)
			}
		}
	}
}

// off tells that the section has a switch, and that it is off.
func (v values) off() bool {
	_, switched := v.b.options[[2]string{v.typ, "enabled"}]
	on, err := parseBool(Option{}, written(v.sec, "enabled"))
	return switched && (err != nil || !on)
}

// written is the value of an option as it stands in the file.
func written(s *section, name string) string {
	if o := s.find(name); o != nil && len(o.Values) > 0 {
		return o.Values[0]
	}
	return ""
}

// differs tells whether the file sets an option to something else than what
// holds without it.
func (v values) differs(c *Config, o Option) bool {
	value, def := written(v.sec, o.Name), o.Default
	if v.iot && o.IoTDefault != "" {
		def = o.IoTDefault
	}
	switch {
	case value == "", slices.ContainsFunc(v.b.problems, func(p model.Problem) bool { return p.Section == v.path() && p.Option == o.Name }):
		return false // unset, or there is more to say of it
	case o.Name == "control_path":
		return !slices.Equal(c.Failover.ControlPath, defaultControlPath(c))
	case o.Kind == KindBool:
		want, _ := parseBool(o, def)
		got, err := parseBool(o, value)
		return err == nil && got != want
	}
	return value != def
}
