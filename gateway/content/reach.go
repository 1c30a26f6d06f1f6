package content

import (
	"context"
	"fmt"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
)

// Reach returns nil where a request's principal may read a blob that is named by its
// digest alone: it may read everything, or something that refers to the blob or shows
// it, or it has a lease of its own, which a signed token does not count. Otherwise the blob is [cas.ErrBlobUnknown], as one
// is that is not there, and takes as long to be found so. It is asked before anything
// else is.
func Reach(ctx context.Context, s *cas.Store, d digest.Digest) error {
	may := Readable(ctx)
	if may == nil {
		return nil
	}
	who := auth.From(ctx)
	holder := leaseholder(who)
	if who.Scoped { // it is good for what it names: leases may be of anything
		holder = ""
	}
	wait := Even(ctx)
	ok, err := s.Reaches(ctx, d, holder, may)
	if err == nil && !ok {
		wait()
		err = fmt.Errorf("%s: %w", d, cas.ErrBlobUnknown)
	}
	return err
}

// Knows returns what decides for a request's principal which blobs it may know of, nil
// where it may know all. It is [cas.PutOptions.Knows].
func Knows(ctx context.Context, s *cas.Store) func(context.Context, digest.Digest) (bool, error) {
	may := Readable(ctx)
	if may == nil {
		return nil
	}
	principal := leaseholder(auth.From(ctx))
	return func(ctx context.Context, d digest.Digest) (bool, error) {
		return s.Reaches(ctx, d, principal, may)
	}
}

// Readable returns what a request's principal may read, nil for everything.
func Readable(ctx context.Context) func(resource string) bool {
	who := auth.From(ctx)
	if who.May(auth.Pull, auth.Everything) {
		return nil
	}
	return func(resource string) bool { return who.May(auth.Pull, auth.Resource(resource)) }
}

// leaseholder is whose leases are a principal's own: those of nobody in particular are
// nobody's.
func leaseholder(who auth.Principal) string {
	if !who.Authenticated {
		return ""
	}
	return who.Name
}
