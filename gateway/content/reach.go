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
// it, or it has a lease of its own. Otherwise the blob is [cas.ErrBlobUnknown], as one
// is that is not there, and takes as long to be found so. It is asked before anything
// else is.
func Reach(ctx context.Context, s *cas.Store, d digest.Digest) error {
	may := Readable(ctx)
	if may == nil {
		return nil
	}
	wait := Even(ctx)
	ok, err := s.Reaches(ctx, d, leaseholder(auth.From(ctx)), may)
	if err == nil && !ok {
		wait()
		err = fmt.Errorf("%s: %w", d, cas.ErrBlobUnknown)
	}
	return err
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
