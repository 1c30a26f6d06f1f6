package plain

import (
	"context"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
)

// leastLooked is how many packages are looked at at once, however short the page: of
// many that its reader may not read each would else be a question to the registry.
const leastLooked = 100

// readable returns a page of the packages that a request's principal may read. Where
// the list goes on is the key of one that it may read, too: what lies between two of
// them is passed over here, since a key says that there is such a package.
func (f *Face) readable(ctx context.Context, q packageList) (list []cas.Package, next cas.PackageKey, err error) {
	who := auth.From(ctx)
	for after := q.after; ; {
		page, next, err := f.Store.ListPackages(ctx, q.filter, after, max(q.limit-len(list), leastLooked))
		if err != nil {
			return nil, next, err
		}
		for _, p := range page {
			if !who.May(auth.Pull, resourceOf(p.PackageKey)) {
				continue
			}
			if len(list) == q.limit {
				return list, list[len(list)-1].PackageKey, nil
			}
			list = append(list, p)
		}
		if next == (cas.PackageKey{}) || who.May(auth.Pull, resourceOf(next)) {
			return list, next, nil
		}
		if len(list) == q.limit {
			return list, list[len(list)-1].PackageKey, nil
		}
		producer, ok := who.NextProducer(auth.Pull, next.Producer)
		if !ok {
			return list, cas.PackageKey{}, nil
		}
		if after = next; producer != next.Producer {
			after = cas.PackageKey{Producer: auth.Before(producer)}
		}
	}
}
