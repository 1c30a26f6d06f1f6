package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/s3/s3test"
)

// TestKnownKeyIsNotCopied shows the calls of an upload whose key the hint has.
func TestKnownKeyIsNotCopied(t *testing.T) {
	for _, server := range s3test.All(t) {
		p, front := s3test.NewProxy(t, server)
		b := openBackend(t, options(front, s3test.Prefix()))
		for _, c := range []struct {
			hint backends.Hint
			p    []byte
			want []string
		}{
			{backends.Hint{Key: "k", Size: int64(len(small))}, small, []string{"PutObject"}},
			{backends.Hint{Size: -1}, small, []string{"PutObject"}},
			{backends.Hint{Key: "k", Size: int64(len(large))}, large, []string{"CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart", "UploadPart", "UploadPart"}},
			{backends.Hint{Key: "k", Size: -1}, large, []string{"CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart", "UploadPart", "UploadPart"}},
			{backends.Hint{Size: -1}, large, []string{"CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "DeleteObject", "HeadObject", "UploadPart", "UploadPart", "UploadPart"}},
		} {
			p.Recorded()
			if err := commit(t.Context(), b, "k", c.hint, c.p); err != nil {
				t.Fatal(err)
			}
			got := p.Recorded()
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %d bytes with hint %+v: calls %v, want %v", server.Name, len(c.p), c.hint, got, c.want)
			}
		}
	}
}

// TestResumeSendsNothingAgain counts the bytes that a suspended upload moves.
func TestResumeSendsNothingAgain(t *testing.T) {
	for _, server := range s3test.All(t) {
		var moved atomic.Int64
		p, front := s3test.NewProxy(t, server)
		p.Front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			moved.Add(max(0, r.ContentLength))
			p.ServeHTTP(w, r)
		})
		b := openBackend(t, options(front, s3test.Prefix()))
		if err := again(t.Context(), b, "k", large); err != nil {
			t.Fatal(err)
		}
		// Once each, the tail twice, what was lost twice, and some XML.
		half := int64(len(large)/2 + 1)
		if most := int64(len(large)) + partLeast + half + 4096; moved.Load() > most {
			t.Errorf("%s: %d bytes were sent for an object of %d, at most %d are right", server.Name, moved.Load(), len(large), most)
		}
	}
}

// TestLargeCopies copies in parts, whole and cut.
func TestLargeCopies(t *testing.T) {
	if testing.Short() {
		t.Log("gofakes3 cannot copy parts: only real servers show this")
		return
	}
	for _, server := range []s3test.Server{s3test.Versitygw(t), s3test.RGW(t)} {
		prefix := s3test.Prefix()
		b := openBackend(t, options(server, prefix))
		b.copyOnce, b.copyChunk = 1<<20, partLeast
		if err := commit(t.Context(), b, "k", backends.Hint{Size: -1}, large); err != nil {
			t.Fatalf("%s: %v", server.Name, err)
		}
		for _, size := range []int64{int64(len(large)), partLeast + 1, 1, 0} {
			if err := b.copy(t.Context(), b.prefix+"k", b.prefix+"cut", newNonce(), size, true); err != nil {
				t.Fatalf("%s: %v", server.Name, err)
			}
			if got := read(t, b, "cut"); !bytes.Equal(got, large[:size]) {
				t.Errorf("%s: the copy of %d bytes has %d", server.Name, size, len(got))
			}
		}
		if rest := leftovers(t, server, prefix); len(rest) > 0 {
			t.Errorf("%s: left behind: %q", server.Name, rest)
		}
	}
}

func read(t *testing.T, b *Backend, key string) []byte {
	t.Helper()
	r, err := b.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// answering is a server that answers every call alike.
func answering(t *testing.T, status int, code string, change func(http.Header)) s3test.Server {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if change != nil {
			change(w.Header())
		}
		w.WriteHeader(status)
		if r.Method != http.MethodHead && code != "" {
			io.WriteString(w, strings.Replace(s3test.ErrorXML, "%", code, 1))
		}
	}))
	t.Cleanup(front.Close)
	return s3test.Server{EndpointURL: front.URL, Bucket: "b", AccessKey: "a", SecretKey: "s"}
}

// TestHealthNamesTheTrouble wants a kind and a sentence for each thing an
// operator can get wrong.
func TestHealthNamesTheTrouble(t *testing.T) {
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tls.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	fake := s3test.Fake(t)
	at := func(server s3test.Server, change func(*Options)) Options {
		o := options(server, "p")
		o.MaxAttempts, o.maxBackoff = 1, time.Millisecond
		if change != nil {
			change(&o)
		}
		return o
	}
	endpoint := func(u string) s3test.Server {
		return s3test.Server{EndpointURL: u, Bucket: "b", AccessKey: "a", SecretKey: "s"}
	}
	cases := map[string]struct {
		o    Options
		kind Kind
		say  string
	}{
		"unknown key":    {at(answering(t, 403, "InvalidAccessKeyId", nil), nil), Credentials, "access_key_ref"},
		"wrong secret":   {at(answering(t, 403, "SignatureDoesNotMatch", nil), nil), Credentials, "secret_key_ref"},
		"versity's":      {at(answering(t, 404, "XAdminUserNotFound", nil), nil), Credentials, "access_key_ref"},
		"denied":         {at(answering(t, 403, "AccessDenied", nil), nil), Permission, "policy"},
		"no bucket":      {at(answering(t, 404, "NoSuchBucket", nil), nil), BucketMissing, "create it"},
		"real no bucket": {at(fake, func(o *Options) { o.Bucket = "other" }), BucketMissing, "other"},
		"skewed":         {at(answering(t, 403, "RequestTimeTooSkewed", nil), nil), ClockSkew, "NTP"},
		"clock wanders": {at(answering(t, 200, "", func(h http.Header) {
			h.Set("Date", time.Now().Add(-6*time.Minute).UTC().Format(http.TimeFormat))
			h.Set("Etag", `"x"`)
		}), nil), ClockSkew, "five minutes"},
		"region":       {at(answering(t, 400, "AuthorizationHeaderMalformed", nil), nil), WrongRegion, "region"},
		"redirect":     {at(answering(t, 301, "PermanentRedirect", nil), nil), WrongRegion, "region"},
		"class":        {at(answering(t, 400, "InvalidStorageClass", nil), func(o *Options) { o.StorageClass = "COLD" }), StorageClass, "COLD"},
		"class on RGW": {at(answering(t, 400, "InvalidArgument", nil), func(o *Options) { o.StorageClass = "COLD" }), StorageClass, "COLD"},
		"sse":          {at(answering(t, 400, "InvalidRequest", nil), func(o *Options) { o.SSE = "AES256" }), Encryption, "https"},
		"sse dropped":  {at(answering(t, 200, "", func(h http.Header) { h.Set("Etag", `"x"`) }), func(o *Options) { o.SSE = "AES256" }), Encryption, "unencrypted"},
		"slow down":    {at(answering(t, 503, "SlowDown", nil), nil), Busy, "less"},
		"bad gateway":  {at(answering(t, 502, "", nil), nil), Busy, "failing"},
		"closed":       {at(endpoint(closed.URL), nil), Unreachable, "reached"},
		"no such name": {at(endpoint("http://nowhere.invalid"), nil), Unreachable, "resolved"},
		"untrusted":    {at(endpoint(tls.URL), nil), TLS, "ca_file"},
		"no TLS there": {at(endpoint(strings.Replace(fake.EndpointURL, "http:", "https:", 1)), nil), TLS, "scheme"},
		"no keys": {at(fake, func(o *Options) {
			o.Credentials = func(context.Context) (string, string, error) { return "", "", os.ErrNotExist }
		}), Credentials, "cannot be read"},
		"empty secret": {at(fake, func(o *Options) {
			o.Credentials = func(context.Context) (string, string, error) { return "a", "", nil }
		}), Credentials, "cannot be read"},
		"who knows": {at(answering(t, 418, "Teapot", nil), nil), Unexpected, "not expected"},
	}
	for name, c := range cases {
		err := openBackend(t, c.o).Health(t.Context())
		var p *Problem
		if !errors.As(err, &p) || p.Kind != c.kind || !strings.Contains(p.Sentence, c.say) || !errors.Is(err, backends.ErrUnavailable) {
			t.Errorf("%s: got %v, want kind %s and a sentence with %q", name, err, c.kind, c.say)
		}
	}
}

func TestRealServersNameTheTrouble(t *testing.T) {
	if testing.Short() {
		t.Log("gofakes3 checks no key: only real servers show this")
		return
	}
	for _, server := range []s3test.Server{s3test.Versitygw(t), s3test.RGW(t)} {
		for name, c := range map[string]struct {
			change func(*Options)
			kind   Kind
		}{
			"bucket": {func(o *Options) { o.Bucket = "no-such-bucket" }, BucketMissing},
			"secret": {func(o *Options) {
				o.Credentials = func(context.Context) (string, string, error) { return server.AccessKey, "wrong", nil }
			}, Credentials},
			"key": {func(o *Options) {
				o.Credentials = func(context.Context) (string, string, error) { return "nobody", "wrong", nil }
			}, Credentials},
			"address": {func(o *Options) { o.EndpointURL += "/" + o.Bucket }, BucketMissing},
			"clock":   {func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } }, ClockSkew},
		} {
			o := options(server, "p")
			c.change(&o)
			b := openBackend(t, o)
			var p *Problem
			if err := b.Health(t.Context()); !errors.As(err, &p) || p.Kind != c.kind {
				t.Errorf("%s: wrong %s: got %v, want %s", server.Name, name, err, c.kind)
			}
			if name == "clock" || name == "address" { // these keep objects all the same
				continue
			}
			if _, err := b.Stat(t.Context(), "k"); !errors.Is(err, backends.ErrUnavailable) {
				t.Errorf("%s: wrong %s: stat says %v", server.Name, name, err)
			}
			if err := b.Delete(t.Context(), "k"); !errors.Is(err, backends.ErrUnavailable) {
				t.Errorf("%s: wrong %s: delete says %v", server.Name, name, err)
			}
		}
	}
}

func TestUnknownStorageClassOnRGW(t *testing.T) {
	if testing.Short() {
		t.Log("only RGW knows its classes")
		return
	}
	o := options(s3test.RGW(t), s3test.Prefix())
	o.StorageClass = "GLACIER"
	var p *Problem
	if err := openBackend(t, o).Health(t.Context()); !errors.As(err, &p) || p.Kind != StorageClass {
		t.Errorf("got %v", err)
	}
	o.StorageClass = "STANDARD"
	if err := openBackend(t, o).Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFullIsErrFull(t *testing.T) {
	for code, status := range map[string]int{"QuotaExceeded": 403, "XMinioStorageFull": 507, "": 507} {
		o := options(answering(t, status, code, nil), "p")
		o.MaxAttempts, o.maxBackoff = 1, time.Millisecond
		err := commit(t.Context(), openBackend(t, o), "k", backends.Hint{Size: -1}, small)
		if !errors.Is(err, backends.ErrFull) {
			t.Errorf("%d %s: got %v, want ErrFull", status, code, err)
		}
	}
}

// TestHealthOfAFullBucket: no room is not an outage, and a bucket that cannot be read is.
func TestHealthOfAFullBucket(t *testing.T) {
	var reads atomic.Value
	reads.Store("NoSuchKey")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := reads.Load().(string)
		if r.Method == http.MethodPut {
			code = "QuotaExceeded"
		}
		w.WriteHeader(map[string]int{"NoSuchKey": 404, "QuotaExceeded": 403, "AccessDenied": 403}[code])
		io.WriteString(w, strings.Replace(s3test.ErrorXML, "%", code, 1))
	}))
	t.Cleanup(front.Close)
	o := options(s3test.Server{EndpointURL: front.URL, Bucket: "b", AccessKey: "a", SecretKey: "s"}, "p")
	o.MaxAttempts, o.maxBackoff = 1, time.Millisecond
	b := openBackend(t, o)
	if err := b.Health(t.Context()); !errors.Is(err, backends.ErrFull) {
		t.Errorf("a full bucket: got %v, want ErrFull", err)
	}
	reads.Store("AccessDenied")
	if err := b.Health(t.Context()); errors.Is(err, backends.ErrFull) || !errors.Is(err, backends.ErrUnavailable) {
		t.Errorf("a full bucket that cannot be read: got %v, want ErrUnavailable", err)
	}
}

// TestRotatedKeys changes the key pair under a running backend.
func TestRotatedKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var good atomic.Value
	good.Store("old")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+good.Load().(string)+"/") {
			w.WriteHeader(403)
			io.WriteString(w, strings.Replace(s3test.ErrorXML, "%", "InvalidAccessKeyId", 1))
			return
		}
		w.Header().Set("ETag", `"x"`)
	}))
	t.Cleanup(front.Close)
	var reads atomic.Int64
	o := options(s3test.Server{EndpointURL: front.URL, Bucket: "b"}, "p")
	o.maxBackoff = time.Millisecond
	now := time.Now()
	o.Now = func() time.Time { return now }
	o.Credentials = func(context.Context) (string, string, error) {
		reads.Add(1)
		text, err := os.ReadFile(file)
		return string(text), "s", err
	}
	b := openBackend(t, o)
	write("old")
	for range 5 {
		if _, err := b.Stat(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	if reads.Load() != 1 {
		t.Errorf("the keys were read %d times for five calls", reads.Load())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if _, err := b.Stat(t.Context(), "k"); err != nil {
		t.Errorf("with no file for a moment: %v", err)
	}
	write("new")
	good.Store("new")
	if _, err := b.Stat(t.Context(), "k"); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	good.Store("nobody's")
	if _, err := b.Stat(t.Context(), "k"); !errors.Is(err, backends.ErrUnavailable) {
		t.Errorf("refused keys: %v", err)
	}
}

// TestRotatedSecret replaces the secret under an access key that stays, wrong before.
func TestRotatedSecret(t *testing.T) {
	if testing.Short() {
		t.Log("gofakes3 checks no signature: only real servers show this")
		return
	}
	for _, server := range []s3test.Server{s3test.Versitygw(t), s3test.RGW(t)} {
		var secret atomic.Value
		secret.Store("wrong")
		o := options(server, s3test.Prefix())
		o.Credentials = func(context.Context) (string, string, error) {
			return server.AccessKey, secret.Load().(string), nil
		}
		b := openBackend(t, o)
		if err := commit(t.Context(), b, "k", backends.Hint{Size: -1}, small); !errors.Is(err, backends.ErrUnavailable) {
			t.Errorf("%s: with the wrong secret: %v", server.Name, err)
		}
		secret.Store(server.SecretKey)
		if err := commit(t.Context(), b, "k", backends.Hint{Size: -1}, small); err != nil {
			t.Errorf("%s: with the right secret in its place: %v", server.Name, err)
		}
		if got := read(t, b, "k"); !bytes.Equal(got, small) {
			t.Errorf("%s: read %d bytes, want %d", server.Name, len(got), len(small))
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no bucket":      func(o *Options) { o.Bucket = "" },
		"no credentials": func(o *Options) { o.Credentials = nil },
		"no memory":      func(o *Options) { o.Memory = nil },
		"little memory":  func(o *Options) { o.Memory = NewMemory(MemoryLeast - 1) },
		"small chunk":    func(o *Options) { o.MultipartChunk = 5<<20 - 1 },
		"threshold":      func(o *Options) { o.MultipartThreshold = 1 },
		"sse":            func(o *Options) { o.SSE = "rot13" },
		"key id alone":   func(o *Options) { o.SSEKMSKeyID = "k" },
		"prefix":         func(o *Options) { o.KeyPrefix = "../x" },
		"endpoint":       func(o *Options) { o.EndpointURL = "rgw.example" },
		"keys in it":     func(o *Options) { o.EndpointURL = "http://a:b@rgw.example" },
		"no CA file":     func(o *Options) { o.CAFile = filepath.Join(t.TempDir(), "none") },
		"connections":    func(o *Options) { o.MaxConnections = -1 },
	} {
		o := options(s3test.Server{EndpointURL: "http://localhost", Bucket: "b"}, "p")
		change(&o)
		if b, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: accepted as %+v", name, b.options)
		}
	}
}

// TestOverTLS uploads over https with a CA file, signed as over http.
func TestOverTLS(t *testing.T) {
	server := s3test.Fake(t)
	if !testing.Short() {
		server = s3test.RGW(t)
	}
	p, _ := s3test.NewProxy(t, server)
	var unsigned atomic.Int64
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sum := r.Header.Get("X-Amz-Content-Sha256"); len(sum) != 64 && r.Method == http.MethodPut {
			unsigned.Add(1)
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	server.EndpointURL = front.URL
	o := options(server, s3test.Prefix())
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(o.CAFile, certificatePEM(front), 0o600); err != nil {
		t.Fatal(err)
	}
	b := openBackend(t, o)
	if err := commit(t.Context(), b, "k", backends.Hint{Size: -1}, large); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "k"); !bytes.Equal(got, large) {
		t.Error("wrong bytes")
	}
	if n := unsigned.Load(); n > 0 {
		t.Errorf("%d calls did not sign their bytes", n)
	}
}

// TestCommittedByAnother goes on twice from one state to a known key. RGW would
// call the second completion a success.
func TestCommittedByAnother(t *testing.T) {
	for _, server := range s3test.All(t) {
		b := openBackend(t, options(server, s3test.Prefix()))
		u, err := b.Begin(t.Context(), backends.Hint{Key: "k", Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(large); err != nil {
			t.Fatal(err)
		}
		state, err := u.Suspend(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
		first, err1 := b.Resume(t.Context(), state)
		second, err2 := b.Resume(t.Context(), state)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if err := first.Commit(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if err := second.Commit(t.Context(), "k"); !errors.Is(err, backends.ErrUploadUnknown) {
			t.Errorf("%s: the second got %v, want ErrUploadUnknown", server.Name, err)
		}
		second.Abort(t.Context())
	}
}

// TestEndsBeforeLeftovers resumes a state behind which a later attempt, given
// up, has left more parts than the object will have.
func TestEndsBeforeLeftovers(t *testing.T) {
	for _, server := range s3test.All(t) {
		for _, n := range []int{0, 3, partLeast, partLeast + 3} {
			prefix := s3test.Prefix()
			b := openBackend(t, options(server, prefix))
			u, err := b.Begin(t.Context(), backends.Hint{Size: -1})
			if err != nil {
				t.Fatal(err)
			}
			write(t, u, large[:7*mib])
			state, err := u.Suspend(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			write(t, u, large)
			write(t, u, large)
			u.(*upload).wait(t.Context()) // the parts are there before the process goes
			if err := u.Close(); err != nil {
				t.Fatal(err)
			}
			if u, err = b.Resume(t.Context(), state); err != nil {
				t.Fatal(err)
			}
			write(t, u, small[:min(n, 1000)])
			write(t, u, large[:max(0, n-1000)])
			if err := u.Commit(t.Context(), "k"); err != nil {
				t.Fatalf("%s: %d bytes more: %v", server.Name, n, err)
			}
			want := slices.Concat(large[:7*mib], small[:min(n, 1000)], large[:max(0, n-1000)])
			if got := read(t, b, "k"); !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes more: the object has %d bytes, want %d", server.Name, n, len(got), len(want))
			}
			if rest := leftovers(t, server, prefix); len(rest) > 0 {
				t.Errorf("%s: left behind: %q", server.Name, rest)
			}
		}
	}
}

func write(t *testing.T, u backends.Upload, p []byte) {
	t.Helper()
	if _, err := u.Write(p); err != nil {
		t.Fatal(err)
	}
}

// TestUncertainIsNotAborted lets every completion fail without an answer. The
// upload may be complete, so only Sweep may abort it.
func TestUncertainIsNotAborted(t *testing.T) {
	server := s3test.Fake(t)
	prefix := s3test.Prefix()
	p, front := s3test.NewProxy(t, server)
	b := openBackend(t, rough(front, prefix))
	for _, hint := range []backends.Hint{{Size: -1}, {Key: "k", Size: -1}} {
		p.Spoil("CompleteMultipartUpload", s3test.Reset, 1000)
		if err := commit(t.Context(), b, "k", hint, two); !errors.Is(err, backends.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		p.Clear()
		if calls := p.Recorded(); slices.Contains(calls, "AbortMultipartUpload") {
			t.Errorf("the calls are %v", calls)
		}
	}
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("swept %d, error %v", n, err)
	}
	if rest := leftovers(t, server, prefix); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}
