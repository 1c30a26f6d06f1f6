package cas

import (
	"context"
	"errors"
	"io"
	"time"

	"artifactstore/registry"
)

// A client that lost the answer to the end of its session ends it again, perhaps on
// another gateway, while the first request is at work still. One of the two then
// loses the session to the other, and waits for what becomes of it: both are to
// hear of the blob. A row does not say whether anybody is alive behind it, so one
// that nobody touches for a while is taken up again, by one that can.

// How long a request that ends a session waits for another that has it, and after
// how long without a sign of one it tries again by itself. The patience is shorter
// than that of common clients, the quiet longer than a request stands still between
// taking a session up and committing it.
const (
	finishPatience     = 20 * time.Second
	finishQuiet        = 5 * time.Second
	finishPause        = 20 * time.Millisecond // before the second look; doubled from one to the next
	longestFinishPause = 500 * time.Millisecond
)

// finishing is one FinishUpload as it meets others.
type finishing struct {
	*Store
	id     Session
	body   *lastChunk
	waited time.Duration
}

// met reports whether an error means that another request may have the session: it
// has taken it up since, or made something of its bytes.
func met(err error) bool {
	return errors.Is(err, ErrUploadChanged) || errors.Is(err, errBytesGone)
}

// await waits for what another request makes of a session whose row this one read as
// u. It returns the row when the session is finished, or when this one is to try
// again. Where the session has ended otherwise or went on from its offset, and where
// the patience ends, it returns what this one was refused with.
func (f *finishing) await(ctx context.Context, u registry.Upload, refused error) (registry.Upload, error) {
	quiet := time.Duration(0)
	for pause := finishPause; ; pause = min(2*pause, longestFinishPause) {
		now, err := f.session(ctx, f.id)
		if err == nil && now.Version != u.Version {
			quiet = 0
		}
		switch {
		case errors.Is(err, ErrUploadUnknown):
			return u, refused
		case err != nil:
			return u, err
		case !now.Finished.IsZero():
			return now, nil
		case now.Offset != u.Offset:
			return u, refused
		case quiet >= finishQuiet && !f.body.taken:
			return now, nil
		case f.waited >= finishPatience:
			return u, refused
		}
		if err := f.sleep(ctx, pause); err != nil {
			return u, &SourceError{err}
		}
		u, quiet, f.waited = now, quiet+pause, f.waited+pause
	}
}

// lastChunk is a body that knows whether bytes of it were taken: then it cannot be
// read again.
type lastChunk struct {
	io.Reader
	taken bool
}

func (b *lastChunk) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.taken = b.taken || n > 0
	return n, err
}
