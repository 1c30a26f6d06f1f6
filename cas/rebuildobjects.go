package cas

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/registry"
)

// A rebuild that is killed reads again what it had read since its last append: no
// more than this.
const (
	adoptMost  = 64      // objects in a batch
	adoptBytes = 1 << 30 // of their bytes
)

// adopting is the walk over one backend.
type adopting struct {
	*rebuilder
	backendID string
	after     string // the last key that is done with
	known     *knownOn
	batch     []*object
	bytes     int64 // of the batch
}

// object is one of a backend that the registry does not know there.
type object struct {
	info       backends.Info
	blob       digest.Digest
	known      bool // the blob is, elsewhere
	result     Result
	identity   digest.Identity
	sha512     digest.Digest
	isManifest bool
}

// adoptFrom records the objects of a backend, and goes on where the backend is
// away for a moment.
func (r *rebuilder) adoptFrom(ctx context.Context, backendID string) error {
	a := &adopting{rebuilder: r, backendID: backendID}
	for try := 0; ; try++ {
		before := a.after
		err := a.walk(ctx)
		if !errors.Is(err, ErrBackendUnavailable) || ctx.Err() != nil {
			return err
		}
		if a.after != before {
			try = 0
		}
		if try == len(patience) || a.sleep(ctx, patience[try]) != nil {
			return err
		}
	}
}

func (a *adopting) walk(ctx context.Context) error {
	a.batch, a.bytes = nil, 0
	a.known = a.knownOn(ctx, a.backendID, a.after)
	defer a.known.stop()
	for info, err := range a.backend(a.backendID).List(ctx, "", a.after) {
		if err != nil {
			return backendError("list objects", a.backendID, err)
		}
		if err := a.object(info); err != nil {
			return err
		}
		if len(a.batch) < adoptMost && a.bytes < adoptBytes {
			continue
		}
		if err := a.adopt(ctx, info.Key); err != nil {
			return err
		}
	}
	return a.adopt(ctx, "")
}

// object looks whether there is something to do about one of the list.
func (a *adopting) object(info backends.Info) error {
	d, err := digest.ParseKey(info.Key)
	if err != nil || d.Algorithm() != digest.SHA256 {
		a.batch = append(a.batch, &object{info: info})
		return nil
	}
	here, err := a.known.has(d)
	if err != nil {
		return err
	}
	o := &object{info: info, blob: d, known: a.known.at.SHA256 == d}
	if here {
		o.result = Skipped
	} else {
		a.bytes += info.Size
	}
	a.batch = append(a.batch, o)
	return nil
}

// adopt reads a batch, records what is right, and counts: it is done with all keys
// up to the last.
func (a *adopting) adopt(ctx context.Context, last string) error {
	if err := a.look(ctx); err != nil {
		return err
	}
	seen, err := a.seen(ctx) // before a byte is read: a removal that ends after it wins
	if err != nil {
		return err
	}
	if err := a.readAll(ctx); err != nil {
		return err
	}
	if err := a.turn.Check(); err != nil {
		return err
	}
	if err := a.record(ctx, seen); err != nil {
		return err
	}
	for _, o := range a.batch {
		a.count(o)
	}
	a.batch, a.bytes = nil, 0
	if last == "" {
		a.tell("objects on "+a.backendID, 1)
		return nil
	}
	a.after = last
	if d, err := digest.ParseKey(last); err == nil {
		a.tell("objects on "+a.backendID, share(d))
	}
	return nil
}

// readAll reads the objects of the batch that are to be recorded.
func (a *adopting) readAll(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *object)
	var readers sync.WaitGroup
	for range a.o.Concurrency {
		readers.Go(func() {
			b := &passing{Backend: a.backend(a.backendID)}
			x := a.newExaminer(b, &pace{})
			if a.o.SHA512 {
				x.hash = digest.NewHasher(digest.SHA512)
			}
			defer x.hash.Release()
			for o := range work {
				if err := a.read(ctx, x, b, o); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, o := range a.batch {
		if !o.blob.IsZero() && o.result == "" {
			work <- o
		}
	}
	close(work)
	readers.Wait()
	return context.Cause(ctx)
}

// read finds out what an object is. What seems to be wrong is read a second time.
func (a *adopting) read(ctx context.Context, x *examiner, b *passing, o *object) (err error) {
	for range 2 {
		b.begin(o.info.Size <= a.o.ManifestBytes)
		o.result, err = x.look(ctx, digest.Identity{SHA256: o.blob, Size: o.info.Size})
		if err != nil {
			return err
		}
		o.identity = x.hash.Identity()
		if o.result == Mismatch && o.identity.SHA256 == o.blob && o.identity.Size == o.info.Size {
			o.result = Intact // its BLAKE3 is news: look compares that too
		}
		if !o.result.IsFailure() {
			break
		}
	}
	o.sha512, _ = x.hash.Sum(digest.SHA512)
	o.isManifest = o.result == Intact && a.isManifest(b.kept)
	return nil
}

// isManifest reports whether a package or a repository can be made of bytes.
func (r *rebuilder) isManifest(body []byte) bool {
	if len(body) == 0 {
		return false
	}
	if _, err := manifest.Decode(body); err == nil {
		return true
	}
	if r.o.ParseOCI == nil {
		return false
	}
	_, err := r.o.ParseOCI(body)
	return err == nil
}

// record appends what is right. Where something does not fit, the registry has
// changed meanwhile: it is asked once more.
func (a *adopting) record(ctx context.Context, seen uint64) error {
	var list []*object
	for _, o := range a.batch {
		if o.result == Intact {
			list = append(list, o)
		}
	}
	unfit, err := a.recordEach(ctx, list, seen)
	if err != nil || len(unfit) == 0 {
		return err
	}
	for _, o := range unfit {
		b, err := a.reg.Blob(ctx, o.blob)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return registryError("look up "+o.blob.String(), err)
		}
		o.known = err == nil
		if stateOn(b, a.backendID) != "" {
			o.result = Skipped
		}
	}
	unfit, err = a.recordEach(ctx, unfit, seen)
	for _, o := range unfit {
		o.result = Changed
	}
	return err
}

func (a *adopting) recordEach(ctx context.Context, list []*object, seen uint64) (unfit []*object, err error) {
	var objects []*object
	var groups [][]registry.Event
	for _, o := range list {
		if o.result == Intact {
			objects, groups = append(objects, o), append(groups, a.says(o, seen))
		}
	}
	fit, err := a.appendEach(ctx, groups)
	if err != nil {
		return nil, registryError("record objects", err)
	}
	for i, o := range objects {
		if !fit[i] {
			unfit = append(unfit, o)
		}
	}
	return unfit, nil
}

// says returns what the log has to say of an object. A blob that is known is kept
// by what keeps it.
func (a *adopting) says(o *object, seen uint64) []registry.Event {
	recorded := event(actorRebuild, registry.LocationRecorded{Blob: o.blob, BackendID: a.backendID, Seen: seen})
	if o.known {
		return []registry.Event{recorded}
	}
	producer := leasedBlob
	if o.isManifest {
		producer = leasedManifest
	}
	return []registry.Event{
		event(actorRebuild, registry.BlobStored{SHA256: o.blob, BLAKE3: o.identity.BLAKE3, SHA512: o.sha512, Size: o.identity.Size}),
		recorded,
		event(actorRebuild, registry.BlobLeased{Blob: o.blob, Producer: producer, RetentionClass: a.o.RetentionClass, Until: a.until}),
	}
}

func (a *adopting) count(o *object) {
	so := &a.so
	if o.blob.IsZero() {
		so.Strangers++
		if len(so.StrangeList) < mostFailures {
			so.StrangeList = append(so.StrangeList, o.info.Key)
		}
		return
	}
	so.Objects++
	switch o.result {
	case Intact:
		so.Adopted++
		so.Bytes += o.info.Size
	case Skipped:
		so.Known++
	case Missing, Changed:
		so.Changing++
	default:
		so.Wrong++
		if len(so.WrongList) < mostFailures {
			so.WrongList = append(so.WrongList, WrongObject{a.backendID, o.info.Key, o.info.Size, o.result})
		}
	}
}

// passing is a backend that keeps the bytes of an object that may be a manifest as
// they pass. It belongs to one reader.
type passing struct {
	backends.Backend
	keep bool
	kept []byte
}

// begin is told whether the next object is small enough to be one.
func (p *passing) begin(keep bool) { p.keep, p.kept = keep, p.kept[:0] }

func (p *passing) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	rc, err := p.Backend.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return passingReader{rc, p}, nil
}

type passingReader struct {
	io.ReadCloser
	to *passing
}

func (r passingReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.to.take(b[:n])
	return n, err
}

// take keeps bytes, unless the first says that this is no manifest: neither JSON nor
// a map of CBOR.
func (p *passing) take(b []byte) {
	if !p.keep || len(b) == 0 {
		return
	}
	if len(p.kept) == 0 && !beginsManifest(b[0]) {
		p.keep = false
		return
	}
	p.kept = append(p.kept, b...)
}

func beginsManifest(c byte) bool {
	const cborMap, major = 0xa0, 0xe0
	return c == '{' || c == ' ' || c == '\t' || c == '\r' || c == '\n' || c&major == cborMap
}
