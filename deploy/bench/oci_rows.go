package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"
)

const (
	chunk    = 16 << 20
	manyTags = 5000
	listPage = 100
	largeRun = 3 // large transfers a round

	typeManifest = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
)

// ociWork makes requests. It repeats the protocol's longest way: an upload is
// opened with POST and closed with PUT.
type ociWork struct {
	workload
	size   int64                 // of the large blob
	smalls map[*server]*[]string // paths of small blobs that were pushed
	config []byte
	tags   []string
}

// newOCIWork pushes what is only read: a manifest under each of the tags.
func newOCIWork(o options, servers []*server) (*ociWork, error) {
	w := &ociWork{size: 256 << 20, smalls: map[*server]*[]string{}, config: []byte("{}")}
	w.workload = workload{o: o, random: make([]byte, 8<<20), large: map[*server]string{}}
	rand.Read(w.random)
	for i := range manyTags {
		w.tags = append(w.tags, fmt.Sprintf("v1.%04d", i))
	}
	for _, s := range servers {
		w.smalls[s] = &[]string{}
		for _, repository := range []string{"bench/tags", "bench/manifests"} {
			if _, err := w.crowdOCI(s, 1, once, func(c *conn, _ []byte) error { return push(c, repository, w.config) }); err != nil {
				return nil, err
			}
		}
		serial := make(chan string, len(w.tags))
		for _, tag := range w.tags {
			serial <- tag
		}
		close(serial)
		if _, err := w.crowdOCI(s, 8, whole, func(c *conn, _ []byte) error {
			tag, more := <-serial
			if !more {
				return errEnough
			}
			_, err := c.do("PUT", "/v2/bench/tags/manifests/"+tag, typeManifest, w.manifest("same"))
			return err
		}); err != nil {
			return nil, fmt.Errorf("tags: %s: %w", s.name, err)
		}
	}
	return w, nil
}

// manifest makes an image manifest that differs from others by an annotation.
func (w *ociWork) manifest(unique string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},"layers":[],"annotations":{"n":"%s"}}`,
		sum(w.config), len(w.config), unique)
}

func sum(content ...[]byte) string {
	h := sha256.New()
	for _, c := range content {
		h.Write(c)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

func (w *ociWork) rows() []ociRow {
	return []ociRow{
		{"push 4 KiB, 1 client", "blob", w.pushSmall(1)},
		{"push 4 KiB, 32 clients", "blob", w.pushSmall(32)},
		{"put manifest by tag, 8 clients", "manifest", w.putManifests},
		{"push 256 MiB, one PUT", "MiB", w.pushLarge(w.wholeBlob)},
		{"push 256 MiB, PATCHes of 16 MiB", "MiB", w.pushLarge(w.chunkedBlob)},
		{"pull 256 MiB", "MiB", w.pullLarge},
		{"pull 4 KiB, 1 client", "blob", w.pullSmall(1)},
		{"pull 4 KiB, 32 clients", "blob", w.pullSmall(32)},
		{"range of 64 KiB, 32 clients", "range", w.pullRanges},
		{"HEAD blob, 32 clients", "HEAD", w.headBlobs},
		{"get manifest by tag, 32 clients", "manifest", w.getManifests},
		{"list 5,000 tags, pages of 100, 4 clients", "page", w.listTags},
	}
}

// push uploads a blob: POST, then PUT with all of it.
func push(c *conn, repository string, content []byte) error {
	a, err := c.do("POST", "/v2/"+repository+"/blobs/uploads/", "", nil)
	if err == nil {
		_, err = c.do("PUT", closing(a.location, sum(content)), "Content-Type: application/octet-stream\r\n", content)
	}
	return err
}

// closing is the address that ends an upload.
func closing(location, digest string) string {
	sign := "?"
	if bytes.ContainsRune([]byte(location), '?') {
		sign = "&"
	}
	return location + sign + "digest=" + digest
}

func (w *ociWork) pushSmall(clients int) func(*server) (ociTurn, error) {
	return func(s *server) (ociTurn, error) {
		var mu sync.Mutex
		return w.crowdOCI(s, clients, w.o.round, func(c *conn, content []byte) error {
			content = w.unique(content)
			err := push(c, "bench/small", content)
			mu.Lock()
			defer mu.Unlock()
			*w.smalls[s] = append(*w.smalls[s], "/v2/bench/small/blobs/"+sum(content))
			return err
		})
	}
}

func (w *ociWork) pullSmall(clients int) func(*server) (ociTurn, error) {
	return func(s *server) (ociTurn, error) {
		paths := *w.smalls[s]
		return w.crowdOCI(s, clients, w.o.round, func(c *conn, _ []byte) error {
			a, err := c.do("GET", paths[mathrand.IntN(len(paths))], "", nil)
			return expect(err, a.length, small)
		})
	}
}

func (w *ociWork) putManifests(s *server) (ociTurn, error) {
	return w.crowdOCI(s, 8, w.o.round, func(c *conn, _ []byte) error {
		unique := fmt.Sprint(w.serial.Add(1))
		_, err := c.do("PUT", "/v2/bench/manifests/manifests/m"+unique, typeManifest, w.manifest(unique))
		return err
	})
}

func (w *ociWork) getManifests(s *server) (ociTurn, error) {
	want := int64(len(w.manifest("same")))
	return w.crowdOCI(s, 32, w.o.round, func(c *conn, _ []byte) error {
		a, err := c.do("GET", "/v2/bench/tags/manifests/"+w.tags[mathrand.IntN(manyTags)], "Accept: application/vnd.oci.image.manifest.v1+json\r\n", nil)
		return expect(err, a.length, want)
	})
}

func (w *ociWork) listTags(s *server) (ociTurn, error) {
	return w.crowdOCI(s, 4, w.o.round, func(c *conn, _ []byte) error {
		from := w.tags[mathrand.IntN(manyTags-listPage-1)]
		_, err := c.do("GET", fmt.Sprintf("/v2/bench/tags/tags/list?n=%d&last=%s", listPage, from), "", nil)
		return err
	})
}

func (w *ociWork) headBlobs(s *server) (ociTurn, error) {
	return w.crowdOCI(s, 32, w.o.round, func(c *conn, _ []byte) error {
		a, err := c.do("HEAD", w.large[s], "", nil)
		return expect(err, a.length, w.size)
	})
}

func (w *ociWork) pullRanges(s *server) (ociTurn, error) {
	return w.crowdOCI(s, 32, w.o.round, func(c *conn, _ []byte) error {
		off := mathrand.Int64N(w.size - rangeSize)
		a, err := c.do("GET", w.large[s], fmt.Sprintf("Range: bytes=%d-%d\r\n", off, off+rangeSize-1), nil)
		return expect(err, a.length, rangeSize)
	})
}

func (w *ociWork) pullLarge(s *server) (ociTurn, error) {
	return w.largeTurn(s, func(c *conn) (time.Duration, error) {
		start := time.Now()
		a, err := c.do("GET", w.large[s], "", nil)
		return time.Since(start), expect(err, a.length, w.size)
	})
}

func expect(err error, got, want int64) error {
	if err == nil && got != want {
		return fmt.Errorf("%d bytes, want %d", got, want)
	}
	return err
}

// pushLarge pushes blobs whose digests are known before the clock starts.
func (w *ociWork) pushLarge(send func(c *conn, first []byte, digest string) error) func(*server) (ociTurn, error) {
	return func(s *server) (ociTurn, error) {
		return w.largeTurn(s, func(c *conn) (time.Duration, error) {
			first := w.unique(append([]byte(nil), w.random...))
			h := [][]byte{first}
			for n := int64(len(first)); n < w.size; n += int64(len(w.random)) {
				h = append(h, w.random)
			}
			d := sum(h...)
			start := time.Now()
			err := send(c, first, d)
			w.large[s] = "/v2/bench/large/blobs/" + d
			return time.Since(start), err
		})
	}
}

func (w *ociWork) wholeBlob(c *conn, first []byte, digest string) error {
	a, err := c.do("POST", "/v2/bench/large/blobs/uploads/", "", nil)
	if err == nil {
		_, err = c.upload("PUT", closing(a.location, digest), "Content-Type: application/octet-stream\r\n", first, w.random, w.size)
	}
	return err
}

func (w *ociWork) chunkedBlob(c *conn, first []byte, digest string) error {
	a, err := c.do("POST", "/v2/bench/large/blobs/uploads/", "", nil)
	for off := int64(0); err == nil && off < w.size; off += chunk {
		fields := fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Range: %d-%d\r\n", off, off+chunk-1)
		a, err = c.upload("PATCH", a.location, fields, first, w.random, chunk)
		first = w.random
	}
	if err == nil {
		_, err = c.do("PUT", closing(a.location, digest), "", nil)
	}
	return err
}
