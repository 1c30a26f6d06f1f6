package cas

import (
	"context"
	"errors"

	"artifactstore/registry"
)

// appendEach appends groups of events, each whole or not at all, and reports which
// of them fit. All go in one transaction; where one does not fit, the halves are
// tried, so few conflicts among many cost few transactions. On an error fit is what
// is known to have been appended.
func (s *Store) appendEach(ctx context.Context, groups [][]registry.Event) (fit []bool, err error) {
	fit = make([]bool, len(groups))
	return fit, s.appendHalves(ctx, groups, fit)
}

func (s *Store) appendHalves(ctx context.Context, groups [][]registry.Event, fit []bool) error {
	if len(groups) == 0 {
		return nil
	}
	var all []registry.Event
	for _, g := range groups {
		all = append(all, g...)
	}
	err := s.append(ctx, all...)
	switch {
	case err == nil:
		for i := range fit {
			fit[i] = true
		}
		return nil
	case !errors.Is(err, registry.ErrConflict):
		return err
	case len(groups) == 1:
		return nil
	}
	half := len(groups) / 2
	if err := s.appendHalves(ctx, groups[:half], fit[:half]); err != nil {
		return err
	}
	return s.appendHalves(ctx, groups[half:], fit[half:])
}
