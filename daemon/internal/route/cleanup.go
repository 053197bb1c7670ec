package route

import (
	"errors"
	"fmt"
)

// Cleanup removes everything that this package ever made, by its protocol number:
// no state is needed. Rules go first, so that nothing is led into a table that
// empties. It tells what it removed and goes on after an error.
func Cleanup(k Kernel) (removed []string, err error) {
	var errs []error
	for _, f := range families {
		rules, err := k.Rules(f)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
		}
		for _, r := range rules {
			if !r.ours() {
				continue
			}
			if err := k.RemoveRule(r); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, fmt.Sprintf("%v rule %v", f, r))
		}
		routes, err := k.Routes(f)
		if err != nil {
			errs = append(errs, err)
		}
		for _, r := range routes {
			if err := k.RemoveRoute(r); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, fmt.Sprintf("%v route %v", f, r))
		}
	}
	return removed, errors.Join(errs...)
}
