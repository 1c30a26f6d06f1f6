package cas

import (
	"context"
	"fmt"
	"reflect"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// writing is how the content of a put gets under its key.
type writing struct {
	commit func(ctx context.Context, key string) error
	// again says that commit may be called again, since the bytes are at hand.
	// Otherwise the one time that it is called is all there is.
	again bool

	seen    uint64           // a position of the log known before the bytes were committed; 0: they were not yet
	refused []registry.Event // what was said last of bytes that cannot be committed again
}

// write commits the bytes, unless they are and a conflict since is none of theirs.
// Those that can be committed again are so at once, and again after a conflict: it
// may have been a removal that took them. Those that cannot are committed when no
// removal is under way.
func (w *writing) write(ctx context.Context, p *put, blob digest.Digest) (err error) {
	written := w.seen != 0
	switch {
	case written && !w.again:
		removing, err := p.removing(ctx, blob, p.backendID)
		if removing {
			err = w.taken(p, blob)
		}
		return err
	case written || !w.again:
		if err := p.afterRemoval(ctx, blob, p.backendID); err != nil {
			return err
		}
	}
	if w.seen, err = p.seen(ctx); err != nil {
		return err
	}
	return backendError("store "+blob.String(), p.backendID, w.commit(ctx, blob.Key()))
}

// say refuses to say again what has been refused of bytes that are still those: as
// nothing else has changed, a removal has taken them.
func (w *writing) say(p *put, blob digest.Digest, events []registry.Event) error {
	if !w.again && w.refused != nil && reflect.DeepEqual(events, w.refused) {
		return w.taken(p, blob)
	}
	w.refused = events
	return nil
}

func (w *writing) taken(p *put, blob digest.Digest) error {
	return fmt.Errorf("store %s on %s: send it again: %w", blob, p.backendID, ErrRemoving)
}
