package cas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"artifactstore/registry"
)

// ErrClassShorter means that a package would be kept for less time than its
// class promises.
var ErrClassShorter = errors.New("the retention class keeps for less time than the one the package has")

// renew gives a package another class and starts its time anew. The event says
// the class that the new one was compared with: of two changes at once the second
// is compared again. Nothing is copied: what the package has stays where it is, and
// what is put into it from now on goes where its new class is routed.
func (s *Store) renew(ctx context.Context, p Package, class string, o PackageOptions) error {
	if !o.Shorten && s.policy.shorter(class, p.RetentionClass) {
		return fmt.Errorf("%s: %w: %s, %s", p.PackageKey, ErrClassShorter, class, p.RetentionClass)
	}
	_, err := s.reg.Append(ctx, event(o.Principal, registry.PackageRenewed{
		Package: p.PackageKey, RetentionClass: class, Was: p.RetentionClass,
	}))
	if errors.Is(err, registry.ErrConflict) {
		return nil // it is looked at again
	}
	return registryError("renew "+p.PackageKey.String(), err)
}

// shorter reports whether a class keeps for less time than another. One that is
// no longer configured keeps for ever, as [Store.Expires] says.
func (p *Policy) shorter(class, than string) bool {
	return p.keeps(class) < p.keeps(than)
}

func (p *Policy) keeps(class string) time.Duration {
	keep, ok := p.Classes[class]
	if !ok || keep < 0 {
		return 1<<63 - 1
	}
	return keep
}
