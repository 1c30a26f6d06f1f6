package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/s3/s3test"
)

// content returns n bytes that look random.
func content(n int, seed byte) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

var (
	small = content(4096, 1)
	large = content(11<<20+3, 2) // with the options of the tests three parts, if its size is not known
	two   = content(5<<20+3, 3)  // with those of the weather two parts
	long  = content(10<<20+5, 4) // a part before the middle and a tail
)

// step is something a caller does, which either succeeds or fails with a clear error.
type step struct {
	name string
	do   func(ctx context.Context, b *Backend) error
	key  string // the object it makes, if it succeeds
	want []byte
}

var steps = []step{
	{"put", func(ctx context.Context, b *Backend) error {
		return commit(ctx, b, "put", backends.Hint{Size: -1}, small)
	}, "put", small},
	{"known", func(ctx context.Context, b *Backend) error {
		return commit(ctx, b, "known", backends.Hint{Key: "known", Size: int64(len(two))}, two)
	}, "known", two},
	{"unknown", func(ctx context.Context, b *Backend) error {
		return commit(ctx, b, "unknown", backends.Hint{Size: -1}, two)
	}, "unknown", two},
	{"copied in parts", func(ctx context.Context, b *Backend) error {
		apart := &Backend{options: b.options, prefix: b.prefix, calls: b.calls, reads: b.reads, copyOnce: 1, copyChunk: partLeast}
		return commit(ctx, apart, "parts", backends.Hint{Size: -1}, two)
	}, "parts", two},
	{"resumed", resumed, "resumed", long},
	{"tail", func(ctx context.Context, b *Backend) error { return again(ctx, b, "tail", small) }, "tail", small},
	{"aborted", aborted, "", nil},
	{"read", readBack, "", nil},
	{"list", listed, "", nil},
	{"delete", func(ctx context.Context, b *Backend) error { return b.Delete(ctx, "gone") }, "", nil},
	{"sweep", func(ctx context.Context, b *Backend) error {
		_, err := b.Sweep(ctx, time.Unix(0, 0))
		return err
	}, "", nil},
	{"health", func(ctx context.Context, b *Backend) error { return b.Health(ctx) }, "", nil},
}

func commit(ctx context.Context, b *Backend, key string, hint backends.Hint, p []byte) error {
	u, err := b.Begin(ctx, hint)
	if err != nil {
		return err
	}
	defer u.Abort(ctx)
	if _, err := u.Write(p); err != nil {
		return err
	}
	return u.Commit(ctx, key)
}

// again suspends and resumes in the middle.
func again(ctx context.Context, b *Backend, key string, p []byte) error {
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		return err
	}
	defer func() { u.Abort(ctx) }()
	half := len(p)/2 + 1
	if _, err := u.Write(p[:half]); err != nil {
		return err
	}
	state, err := u.Suspend(ctx)
	if err != nil {
		return err
	}
	if _, err := u.Write(p[half:]); err != nil { // and lost
		return err
	}
	if err := u.Close(); err != nil {
		return err
	}
	v, err := b.Resume(ctx, state)
	if err != nil {
		return err
	}
	u = v
	if _, err := u.Write(p[half:]); err != nil {
		return err
	}
	return u.Commit(ctx, key)
}

func resumed(ctx context.Context, b *Backend) error { return again(ctx, b, "resumed", long) }

func aborted(ctx context.Context, b *Backend) error {
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		return err
	}
	_, err = u.Write(two)
	return errors.Join(err, u.Abort(ctx))
}

var errWrong = errors.New("wrong bytes")

// readBack reads what was there before the bad weather.
func readBack(ctx context.Context, b *Backend) error {
	r, err := b.Open(ctx, "there", 7, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, two[7:]) {
		return errWrong
	}
	if err != nil {
		return err
	}
	info, err := b.Stat(ctx, "there")
	if err == nil && info.Size != int64(len(two)) {
		return errWrong
	}
	return err
}

func listed(ctx context.Context, b *Backend) error {
	var keys []string
	for info, err := range b.List(ctx, "", "") {
		if err != nil {
			return err
		}
		keys = append(keys, info.Key)
	}
	if !slices.Contains(keys, "there") {
		return errWrong
	}
	return nil
}

var operations = []string{
	"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "CopyObject", "UploadPartCopy",
	"GetObject", "HeadObject", "DeleteObject", "ListParts", "ListObjectsV2", "ListMultipartUploads",
}

// stalled are the operations that are also left without an answer for good.
var stalled = []string{"PutObject", "UploadPart", "CompleteMultipartUpload", "GetObject", "AbortMultipartUpload"}

// TestWeather spoils each kind of call in each way, once and for good. Once,
// everything must succeed; for good, each step succeeds or fails with a clear
// error. What was acknowledged is there, what was not is absent or whole, and
// after Sweep nothing is left.
func TestWeather(t *testing.T) {
	server := s3test.Fake(t)
	if !testing.Short() {
		server = s3test.RGW(t)
	}
	uses := usage(t, server)
	for _, op := range operations {
		for _, kind := range s3test.AllWeather {
			for _, times := range []int{1, 1000} {
				if testing.Short() && (kind == s3test.Stall || kind == s3test.Reset || kind == s3test.Failure || times > 1) || kind == s3test.Stall && times > 1 && !slices.Contains(stalled, op) {
					continue // they only wait
				}
				if server.Name == "gofakes3" && (op == "UploadPartCopy" || kind == s3test.WrongByte) {
					continue // it has none, and checks no byte
				}
				name := op + "/" + string(kind) + map[int]string{1: ", once", 1000: ", always"}[times]
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					storm(t, server, op, kind, times, uses)
				})
			}
		}
	}
}

// usage says which operations each step uses.
func usage(t *testing.T, server s3test.Server) map[string][]string {
	p, front := s3test.NewProxy(t, server)
	b := openBackend(t, rough(front, s3test.Prefix()))
	prepare(t, b)
	uses := map[string][]string{}
	for _, s := range steps {
		p.Recorded()
		if err := s.do(t.Context(), b); err != nil && server.Name != "gofakes3" {
			t.Fatalf("%s in good weather: %v", s.name, err)
		}
		uses[s.name] = p.Recorded()
	}
	return uses
}

// rough are the options for bad weather: as few bytes as show everything.
func rough(server s3test.Server, prefix string) Options {
	o := options(server, prefix)
	o.MultipartThreshold, o.MultipartChunk = partLeast, partLeast
	o.MaxAttempts, o.maxBackoff = 3, time.Millisecond
	return o
}

// prepare puts what the steps read and delete.
func prepare(t *testing.T, b *Backend) {
	t.Helper()
	there := commit(t.Context(), b, "there", backends.Hint{Key: "there", Size: -1}, two)
	if err := errors.Join(there, commit(t.Context(), b, "gone", backends.Hint{Size: -1}, small)); err != nil {
		t.Fatal(err)
	}
}

func storm(t *testing.T, server s3test.Server, op string, kind s3test.Weather, times int, uses map[string][]string) {
	prefix := s3test.Prefix()
	p, front := s3test.NewProxy(t, server)
	o := rough(front, prefix)
	b := openBackend(t, o)
	ctx := t.Context()
	prepare(t, b)
	if kind == s3test.Stall {
		o.IdleTimeout = time.Second / 2
		b = openBackend(t, o)
	}
	acknowledged, struck := map[string]bool{}, 0
	for _, s := range steps {
		if !slices.Contains(uses[s.name], op) || server.Name == "gofakes3" && s.name == "copied in parts" {
			continue
		}
		p.Spoil(op, kind, times)
		err := s.do(ctx, b)
		hits := p.Clear()
		struck += hits
		acknowledged[s.key] = err == nil
		if err == nil {
			continue
		}
		if times == 1 || hits == 0 {
			t.Errorf("%s failed after %d spoilt calls: %v", s.name, hits, err)
		}
		if errors.Is(err, errWrong) || errors.Is(err, fs.ErrNotExist) || !errors.Is(err, backends.ErrUnavailable) && !errors.Is(err, backends.ErrUploadUnknown) {
			t.Errorf("%s: not a clear error: %v", s.name, err)
		}
	}
	if struck == 0 {
		t.Error("no call was spoilt: this shows nothing")
	}
	audit(t, b, acknowledged)
	if _, err := b.Sweep(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if rest := leftovers(t, server, prefix); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
	if b.Memory().InUse() != 0 {
		t.Errorf("%d bytes of memory are not given back", b.Memory().InUse())
	}
}

// audit reads every object through good weather.
func audit(t *testing.T, b *Backend, acknowledged map[string]bool) {
	t.Helper()
	for _, s := range steps {
		if s.key == "" {
			continue
		}
		r, err := b.Open(t.Context(), s.key, 0, -1)
		if errors.Is(err, fs.ErrNotExist) && !acknowledged[s.key] {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v (acknowledged: %v)", s.key, err, acknowledged[s.key])
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, s.want) {
			t.Errorf("%s: wrong bytes, error %v", s.key, err)
		}
		r.Close()
	}
}
