package cas

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// An upload session is a stream that arrives in several requests. After each
// one the offset, the state of the hashes and the backend's state are saved in
// one row, guarded by its version, and only then is the offset acknowledged: any
// gateway on the same registry and backend goes on from there, and no byte that
// was acknowledged is read or sent again.
//
//	Begin   row
//	Append  row → row (version: claimed) → Resume → bytes → Suspend → row (version) → answer
//	Finish  row → row (version: claimed) → Resume → last bytes → digest checked → Commit → Append → row: finished
//	Cancel  row away (version) → Abort
//
// The claim is why a request that read the row early and comes late takes back
// nothing that another has had acknowledged meanwhile: going on from an older
// state gives up the newer ones. Of two requests at once the later goes on, since
// the earlier may be a connection that nobody serves any more; what the earlier
// one brings then is refused, unless both ask for the same end. The first chunk
// needs no claim: each request begins an upload of its own, and one of them becomes
// the row's.
//
// The bytes of an upload whose row may have been saved are never removed: an
// answer of the registry can be lost, and the row be there all the same.
//
// A finished row stays until it expires, so that a client whose answer was lost
// gets it again.

// Session names an upload session and who asks for it. To anybody else it is
// unknown.
type Session struct {
	ID         string // 32 hex digits
	Principal  string
	Repository string
}

// Upload is the state of an upload session.
type Upload struct {
	ID        string
	Offset    int64 // bytes acknowledged
	ExpiresAt time.Time
}

// Chunk is what one request brings.
type Chunk struct {
	Body   io.Reader
	Offset int64 // where the bytes belong, or -1: after those acknowledged
	Size   int64 // bytes announced, or -1
	Limit  int64 // bytes the whole upload may have, 0 for no limit
}

// check refuses a chunk that does not belong after the acknowledged bytes or
// announces too many.
func (c Chunk) check(acknowledged int64) error {
	switch {
	case c.Offset >= 0 && c.Offset != acknowledged:
		return &OffsetError{Want: acknowledged, Got: c.Offset}
	case c.Limit > 0 && max(c.Size, 0) > c.Limit-acknowledged:
		return &TooLargeError{Limit: c.Limit}
	}
	return nil
}

// body returns the chunk's bytes, read no further than they may go: to the limit,
// and to the end that was announced.
func (c Chunk) body(acknowledged int64) io.Reader {
	r := c.Body
	if c.Limit > 0 {
		r = &bounded{r, c.Limit - acknowledged, &TooLargeError{Limit: c.Limit}}
	}
	if c.Size >= 0 {
		r = &bounded{r, c.Size, &SizeMismatchError{Want: c.Size, Got: c.Size + 1}}
	}
	return r
}

// bounded is a reader that fails where its source goes on after so many bytes.
type bounded struct {
	r    io.Reader
	left int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return int(b.left), b.err
	}
	b.left -= int64(n)
	return n, err
}

// TooLargeError says that an upload has more bytes than one may have.
type TooLargeError struct{ Limit int64 }

// Error names the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("an upload may have %d bytes at most", e.Limit)
}

// BeginUpload opens a session for bytes that the options describe. Of the
// options' digests only the algorithms of Also count: the digest is named when
// the upload is finished.
func (s *Store) BeginUpload(ctx context.Context, o PutOptions) (Upload, error) {
	class, _, err := s.policy.class(o.RetentionClass, s.now())
	if err != nil {
		return Upload{}, err
	}
	hash := digest.NewHasher(o.Also...)
	defer hash.Release()
	state, err := hash.MarshalBinary()
	if err != nil {
		return Upload{}, err
	}
	backendID, _ := s.policy.Route(class, o.Producer)
	u := registry.Upload{
		ID:         sessionID(),
		Principal:  o.Principal,
		Repository: o.Repository,
		BackendID:  backendID,
		Hash:       state,
		ExpiresAt:  s.sessionEnd(),
	}
	if err := s.reg.CreateUpload(ctx, u); err != nil {
		return Upload{}, registryError("begin upload", err)
	}
	return answer(u), nil
}

// sessionID returns 128 random bits.
func sessionID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (s *Store) sessionEnd() time.Time {
	return s.now().Add(s.grace).UTC().Truncate(time.Microsecond)
}

func answer(u registry.Upload) Upload {
	return Upload{ID: u.ID, Offset: u.Offset, ExpiresAt: u.ExpiresAt}
}

// StatUpload returns the state of an open session.
func (s *Store) StatUpload(ctx context.Context, id Session) (Upload, error) {
	u, err := s.open(ctx, id)
	return answer(u), err
}

// open returns the row of an open session that is the asker's.
func (s *Store) open(ctx context.Context, id Session) (registry.Upload, error) {
	u, err := s.session(ctx, id)
	if err == nil && !u.Finished.IsZero() {
		err = unknownUpload(id)
	}
	return u, err
}

func (s *Store) session(ctx context.Context, id Session) (registry.Upload, error) {
	u, err := s.reg.Upload(ctx, id.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return registry.Upload{}, unknownUpload(id)
	case err != nil:
		return registry.Upload{}, registryError("look up upload "+id.ID, err)
	case u.Principal != id.Principal || u.Repository != id.Repository || !u.ExpiresAt.After(s.now()):
		return registry.Upload{}, unknownUpload(id)
	}
	return u, nil
}

func unknownUpload(id Session) error { return fmt.Errorf("upload %s: %w", id.ID, ErrUploadUnknown) }

// AppendUpload adds a chunk to a session and returns its new state, which is
// saved. On an error nothing of the chunk is kept and the session is as it was.
//
// Errors: ErrUploadUnknown, *OffsetError, ErrUploadChanged, *SizeMismatchError,
// *TooLargeError and those of [Store.Put].
func (s *Store) AppendUpload(ctx context.Context, id Session, c Chunk) (Upload, error) {
	u, err := s.open(ctx, id)
	if err != nil {
		return Upload{}, err
	}
	r, err := s.resume(ctx, u, c)
	if err != nil {
		return Upload{}, err
	}
	defer r.close()
	if err := r.receive(ctx, c); err != nil {
		return Upload{}, r.explain(err)
	}
	saved, err := r.save(context.WithoutCancel(ctx))
	return saved, r.explain(err)
}

// received is a session taken up by one request.
type received struct {
	*put
	row     registry.Upload
	upload  backends.Upload
	inDoubt bool // the row may be saved with a state of this upload
	checked bool // what is wanted was compared with bytes read again
}

// explain tells what it means that a backend does not know an upload which it
// has just resumed: another request has gone on with it, or ended it.
func (r *received) explain(err error) error {
	if errors.Is(err, backends.ErrUploadUnknown) {
		return fmt.Errorf("upload %s: %w: %w", r.row.ID, ErrUploadChanged, err)
	}
	return err
}

// resume takes a session up where its row says, if the chunk belongs there.
func (s *Store) resume(ctx context.Context, u registry.Upload, c Chunk) (*received, error) {
	if err := c.check(u.Offset); err != nil {
		return nil, err
	}
	b := s.backend(u.BackendID)
	if b == nil {
		return nil, fmt.Errorf("upload %s: backend %q is not configured: %w", u.ID, u.BackendID, ErrBackendUnavailable)
	}
	hash := digest.NewHasher()
	if err := hash.UnmarshalBinary(u.Hash); err != nil {
		return nil, fmt.Errorf("upload %s: saved state of the hashes: %w", u.ID, err)
	}
	u, up, err := s.takeUp(ctx, b, u)
	if err != nil && !errors.Is(err, errBytesGone) {
		hash.Release()
		return nil, err
	}
	p := &put{Store: s, PutOptions: PutOptions{Principal: u.Principal, Repository: u.Repository, Size: -1}, backendID: u.BackendID, hash: hash}
	return &received{put: p, row: u, upload: up}, err
}

// errBytesGone means that a backend has nothing of an upload any more.
var errBytesGone = fmt.Errorf("its bytes are gone: %w", ErrUploadUnknown)

// takeUp claims a session that has bytes, so that no request that read its row
// before can go on, and resumes it; one that has none yet begins. A session
// that is gone on with does not expire meanwhile. With errBytesGone the upload
// is one of bytes that may have become an object.
//
// Between the claim and the resuming nobody else of this process takes the session up:
// who resumed late would take back what a later claim has acknowledged by then.
func (s *Store) takeUp(ctx context.Context, b backends.Backend, u registry.Upload) (registry.Upload, backends.Upload, error) {
	if u.State == nil {
		up, err := b.Begin(ctx, backends.Hint{Size: -1})
		return u, up, backendError("begin upload "+u.ID, u.BackendID, err)
	}
	done, err := s.takers.take(ctx, u.ID)
	if err != nil {
		return u, nil, err
	}
	defer done()
	u.ExpiresAt = s.sessionEnd()
	claimed, err := s.reg.SaveUpload(ctx, u)
	if err != nil {
		return u, nil, sessionError(u.ID, err)
	}
	up, err := b.Resume(ctx, u.State)
	if errors.Is(err, backends.ErrUploadUnknown) {
		return claimed, &became{b: b, size: u.Offset}, fmt.Errorf("upload %s: %w", u.ID, errBytesGone)
	}
	return claimed, up, backendError("resume upload "+u.ID, u.BackendID, err)
}

// close lets go of the backend's upload: of one that was never saved nothing is
// left, of one that was, or may have been, what was saved.
func (r *received) close() {
	if r.row.State == nil && !r.inDoubt {
		r.abort(context.Background(), r.upload)
	} else {
		r.upload.Close()
	}
	r.hash.Release()
}

// receive streams a chunk through the hashes to the backend.
func (r *received) receive(ctx context.Context, c Chunk) error {
	before := r.hash.Size()
	if err := r.copyIn(ctx, c.body(before)); err != nil {
		return err
	}
	if n := r.hash.Size() - before; c.Size >= 0 && n != c.Size {
		return &SizeMismatchError{Want: c.Size, Got: n}
	}
	return nil
}

func (r *received) copyIn(ctx context.Context, body io.Reader) (err error) {
	if r.first, err = r.firstBuffer(ctx); err != nil {
		return err
	}
	defer func() {
		if r.first != nil {
			r.buffers.giveBack(r.first)
		}
	}()
	n, err := fill(body, r.first[:])
	switch {
	case err == nil:
		return r.stream(ctx, body, r.upload)
	case err != io.EOF:
		return err
	case n == 0:
		return nil
	}
	r.hash.Write(r.first[:n])
	_, err = r.upload.Write(r.first[:n])
	return backendError("write upload", r.backendID, err)
}

// save makes what was received durable and acknowledges it.
func (r *received) save(ctx context.Context) (Upload, error) {
	state, err := r.upload.Suspend(ctx)
	if err != nil {
		return Upload{}, backendError("suspend upload "+r.row.ID, r.backendID, err)
	}
	next := r.row
	next.Offset, next.State, next.ExpiresAt = r.hash.Size(), state, r.sessionEnd()
	if next.Hash, err = r.hash.MarshalBinary(); err != nil {
		return Upload{}, err
	}
	saved, err := r.reg.SaveUpload(ctx, next)
	if err != nil {
		err = sessionError(r.row.ID, err)
		r.inDoubt = !errors.Is(err, ErrUploadChanged) && !errors.Is(err, ErrUploadUnknown)
		return Upload{}, err
	}
	r.row = saved
	return answer(saved), nil
}

// sessionError turns what saving or removing a row reports into this package's
// errors.
func sessionError(id string, err error) error {
	switch {
	case errors.Is(err, registry.ErrConflict):
		return fmt.Errorf("upload %s: %w", id, ErrUploadChanged)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("upload %s: %w", id, ErrUploadUnknown)
	}
	return registryError("save upload "+id, err)
}

// CancelUpload ends a session and leaves nothing of it. A request that goes on
// with it at the time fails with ErrUploadUnknown.
func (s *Store) CancelUpload(ctx context.Context, id Session) (err error) {
	for range settleTries {
		u, err := s.open(ctx, id)
		if err != nil {
			return err
		}
		err = s.reg.DeleteUpload(ctx, u.ID, u.Version)
		if err == nil {
			s.drop(context.WithoutCancel(ctx), u)
			return nil
		}
		if !errors.Is(err, registry.ErrConflict) {
			return sessionError(u.ID, err)
		}
	}
	return fmt.Errorf("upload %s: %w", id.ID, ErrUploadChanged)
}

// drop removes what a session has on its backend. What cannot be removed now is
// swept by age.
func (s *Store) drop(ctx context.Context, u registry.Upload) {
	b := s.backend(u.BackendID)
	if u.State == nil || b == nil {
		return
	}
	up, err := b.Resume(ctx, u.State)
	if errors.Is(err, backends.ErrUploadUnknown) {
		return
	}
	if err == nil {
		err = up.Abort(ctx)
	}
	if err != nil {
		s.log.WarnContext(ctx, "the bytes of an ended upload could not be removed yet", "upload", u.ID, "backend_id", u.BackendID, "error", err)
	}
}

// ExpireUploads ends at most limit sessions whose time is over and returns how
// many it ended.
func (s *Store) ExpireUploads(ctx context.Context, limit int) (ended int, err error) {
	list, err := s.reg.ExpiredUploads(ctx, s.now(), limit)
	if err != nil {
		return 0, registryError("list expired uploads", err)
	}
	for _, u := range list {
		switch err := s.reg.DeleteUpload(ctx, u.ID, u.Version); {
		case errors.Is(err, registry.ErrConflict), errors.Is(err, fs.ErrNotExist):
			continue // somebody went on with it, or ended it
		case err != nil:
			return ended, registryError("end upload "+u.ID, err)
		}
		s.drop(ctx, u)
		ended++
	}
	return ended, nil
}
