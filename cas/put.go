package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// PutOptions say who puts what, and what is known of it beforehand.
type PutOptions struct {
	Principal      string // who asks; holds the lease
	Repository     string // whose lease it becomes and where the blob is then visible; "" for the principal's own
	Producer       string // routes the blob
	RetentionClass string // routes the blob and sets the lease; "" is the default class
	Size           int64  // bytes announced, or -1

	// Want are digests the bytes must have. Nothing is stored where one differs.
	Want []digest.Digest
	// WantLater, where not nil, is asked once after the last byte for more of
	// them: digests that travel behind the bytes, in a trailer.
	WantLater func() ([]digest.Digest, error)
	// Also are algorithms WantLater may need that Want does not name: SHA-256
	// and BLAKE3 are always computed, SHA-512 only where it is asked for.
	Also []digest.Algorithm

	// CreateOnly refuses with ErrWouldReplace to make a tag name another manifest than it
	// does, and to put a file in the place of another: the registry decides, whoever
	// comes at the same time. The same once more is no replacement.
	CreateOnly bool

	// Knows, where not nil, reports whether who asks may know that there is a blob with
	// a digest. What they may not know is not there for them: bytes that they send of it
	// are written and committed as those of a new blob are, and without bytes it is
	// ErrBlobUnknown. Nil is for who may know everything. See [Store.Reaches].
	Knows func(ctx context.Context, d digest.Digest) (bool, error)
}

// knows asks Knows, of a blob that is there or not: both take the same work.
func (o PutOptions) knows(ctx context.Context, d digest.Digest) (bool, error) {
	if o.Knows == nil {
		return true, nil
	}
	return o.Knows(ctx, d)
}

// mustKnow makes of a blob that who asks may not know one that is not there.
func (o PutOptions) mustKnow(ctx context.Context, d digest.Digest) error {
	known, err := o.knows(ctx, d)
	if err == nil && !known {
		err = fmt.Errorf("%s: %w", d, ErrBlobUnknown)
	}
	return err
}

// Stored is the answer to a put.
type Stored struct {
	digest.Identity
	SHA512      digest.Digest // zero unless it was asked for now or before
	BackendID   string
	Existed     bool // a stored location was there, and known to who asks, so the bytes were not written again
	LeasedUntil time.Time
}

// Put stores a stream: it reads r to the end, and when it returns nil the bytes
// are durable on the backend that the policy names and the events are durable
// in the log. On an error nothing is recorded and no upload is left behind. The
// bytes are hashed as they pass and never read again; they wait in memory only,
// within the store's bound.
//
// Many puts of one content at once all succeed and make one object.
//
// Errors: the context's, *SourceError where r failed, *DigestMismatchError, *SizeMismatchError,
// ErrNotComputed, ErrClassUnknown, ErrBusy, ErrFull, ErrBackendUnavailable,
// ErrRegistryUnavailable. After the last two the blob may be there all the same:
// an answer can be lost, and only putting it again makes sure.
func (s *Store) Put(ctx context.Context, r io.Reader, o PutOptions) (Stored, error) {
	p, err := s.newPut(o)
	if err != nil {
		return Stored{}, err
	}
	defer p.hash.Release()
	return p.run(ctx, r)
}

// newPut routes what the options describe.
func (s *Store) newPut(o PutOptions) (*put, error) {
	class, until, err := s.class(o)
	if err != nil {
		return nil, err
	}
	o.RetentionClass = class
	id, _ := s.policy.Route(class, o.Producer)
	return &put{Store: s, PutOptions: o, backendID: id, until: until, hash: hasher(o)}, nil
}

// class returns the retention class of a put and the end of its lease. In a
// repository a blob waits for a manifest that names it, and the lease lasts as
// long as an upload may take; from then on the reference keeps it.
func (s *Store) class(o PutOptions) (class string, until time.Time, err error) {
	class, until, err = s.policy.class(o.RetentionClass, s.now())
	if o.Repository != "" {
		until = s.sessionEnd()
	}
	return class, until, err
}

// hasher returns one that computes every algorithm the put can ask for.
func hasher(o PutOptions) *digest.Hasher {
	algorithms := slices.Clip(o.Also)
	for _, d := range o.Want {
		algorithms = append(algorithms, d.Algorithm())
	}
	return digest.NewHasher(algorithms...)
}

// put is one Put under way.
type put struct {
	*Store
	PutOptions
	backendID string
	until     time.Time // the end of the lease
	hash      *digest.Hasher
	first     *[bufferBytes]byte // the first buffer, until a line takes it over
	sha512    digest.Digest      // where it was computed by reading again
	unneeded  bool               // no package needed the blob when it was looked up
	// replaces, where not nil, returns ErrWouldReplace where what the put records would
	// replace something that is not to be. It is asked before the bytes are committed,
	// and again after each conflict.
	replaces func(ctx context.Context, id digest.Identity) error
	// record, where not nil, returns what the log has to say of the blob in
	// place of a lease. It is asked again after each conflict.
	record func(ctx context.Context, id digest.Identity) ([]registry.Data, error)
}

// sum512 returns the SHA-512 of the content, zero where it is not known.
func (p *put) sum512() digest.Digest {
	if d, ok := p.hash.Sum(digest.SHA512); ok {
		return d
	}
	return p.sha512
}

// run reads a first buffer. What ends within it is hashed before the backend is
// touched at all, so that content the store has is not written, staged or
// removed again; anything longer streams.
func (p *put) run(ctx context.Context, r io.Reader) (_ Stored, err error) {
	if p.first, err = p.firstBuffer(ctx); err != nil {
		return Stored{}, err
	}
	defer func() {
		if p.first != nil {
			p.buffers.giveBack(p.first)
		}
	}()
	n, err := fill(r, p.first[:])
	switch {
	case err == io.EOF:
		p.hash.Write(p.first[:n])
		return p.short(ctx, p.first[:n])
	case err != nil:
		return Stored{}, err
	}
	return p.long(ctx, r)
}

// bufferWait is how long an upload waits for memory. It is shorter than the
// patience of common clients, which then hear why, and when to come again.
const bufferWait = 20 * time.Second

func (p *put) firstBuffer(ctx context.Context) (*[bufferBytes]byte, error) {
	waiting, cancel := context.WithTimeout(ctx, bufferWait)
	defer cancel()
	buf, err := p.buffers.take(waiting)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, &SourceError{ctx.Err()}
	case err != nil:
		return nil, fmt.Errorf("%w: no buffer within %s", ErrBusy, bufferWait)
	}
	return buf, nil
}

// short stores what fits a buffer.
func (p *put) short(ctx context.Context, content []byte) (Stored, error) {
	if err := p.verify(); err != nil {
		return Stored{}, err
	}
	return p.settle(ctx, &writing{again: true, commit: func(ctx context.Context, key string) error {
		up, err := p.backend(p.backendID).Begin(ctx, backends.Hint{Key: key, Size: int64(len(content))})
		if err != nil {
			return err
		}
		defer p.abort(ctx, up)
		if _, err := up.Write(content); err != nil {
			return err
		}
		return up.Commit(ctx, key)
	}})
}

// long streams what does not. Where the digest was announced and the routed
// backend has the blob, the stream is only hashed.
func (p *put) long(ctx context.Context, r io.Reader) (Stored, error) {
	has, err := p.alreadyStored(ctx)
	if err != nil {
		return Stored{}, err
	}
	if has {
		if err := p.stream(ctx, r, io.Discard); err != nil {
			return Stored{}, err
		}
		return p.finish(ctx, func(context.Context, string) error {
			return fmt.Errorf("%w: the stored copy went away during the upload: send it again", backends.ErrUnavailable)
		})
	}
	up, err := p.backend(p.backendID).Begin(ctx, backends.Hint{Key: p.announcedKey(), Size: p.Size})
	if err != nil {
		return Stored{}, backendError("begin upload", p.backendID, err)
	}
	defer p.abort(ctx, up)
	if err := p.stream(ctx, r, up); err != nil {
		return Stored{}, err
	}
	return p.finish(ctx, up.Commit)
}

// abort ends an upload, whoever has left. After a commit it does nothing.
func (p *put) abort(ctx context.Context, up backends.Upload) {
	if err := up.Abort(context.WithoutCancel(ctx)); err != nil {
		p.log.WarnContext(ctx, "an upload could not be aborted; a sweep removes what is left of it",
			"backend_id", p.backendID, "error", err)
	}
}

func (p *put) finish(ctx context.Context, commit func(context.Context, string) error) (Stored, error) {
	if err := p.verify(); err != nil {
		return Stored{}, err
	}
	return p.settle(ctx, &writing{commit: commit})
}

// announcedKey returns the key of the blob where its primary digest was
// announced, "" otherwise.
func (p *put) announcedKey() string {
	for _, d := range p.Want {
		if d.Algorithm() == digest.SHA256 {
			return d.Key()
		}
	}
	return ""
}

// alreadyStored reports whether the routed backend holds the announced blob, and who
// asks may know it.
func (p *put) alreadyStored(ctx context.Context) (bool, error) {
	for _, d := range p.Want {
		known, err := p.knows(ctx, d)
		if err != nil {
			return false, err
		}
		b, err := p.reg.Blob(ctx, d)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, registryError("look up "+d.String(), err)
		}
		return known && stateOn(b, p.backendID) == registry.Stored, nil
	}
	return false, nil
}

// verify compares what was received with what was announced.
func (p *put) verify() error {
	if got := p.hash.Size(); p.Size >= 0 && got != p.Size {
		return &SizeMismatchError{Want: p.Size, Got: got}
	}
	want := p.Want
	if p.WantLater != nil {
		later, err := p.WantLater()
		if err != nil {
			return err
		}
		want = append(slices.Clip(want), later...)
	}
	for _, d := range want {
		got, ok := p.hash.Sum(d.Algorithm())
		if !ok {
			return fmt.Errorf("%w: %s", ErrNotComputed, d.Algorithm())
		}
		if got != d {
			return &DigestMismatchError{Want: d, Got: got}
		}
	}
	return nil
}
