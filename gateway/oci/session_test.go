package oci_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/deploy/house"
	"artifactstore/gateway"
)

// A chunk out of order changes nothing, and says where the upload is.
func TestOutOfOrder(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		content := random(200, 1000)
		at := g.do("PATCH", g.begin("a"), content[:400], "Content-Range", "0-399").is(202).location()
		for _, method := range []string{"PATCH", "PUT"} {
			path := at
			if method == "PUT" {
				path += "?digest=" + sha256(content)
			}
			for _, span := range []string{"0-399", "399-500", "401-999", "1000-1599"} {
				var first, last int
				fmt.Sscanf(span, "%d-%d", &first, &last)
				a := g.do(method, path, random(201, last-first+1), "Content-Range", span).refuses(416, "BLOB_UPLOAD_INVALID")
				a.has("Location", at).has("Range", "0-399")
			}
			g.do(method, path, content[400:900], "Content-Range", "400-999").refuses(400, "SIZE_INVALID")
			g.do(method, path, bytes.NewReader(content[400:900]), "Content-Range", "400-999").refuses(400, "SIZE_INVALID")
			g.do(method, path, bytes.NewReader(content[400:]), "Content-Range", "400-899").refuses(400, "SIZE_INVALID")
			g.do("GET", at, nil).is(204).has("Range", "0-399")
		}
		g.do("PUT", at+"?digest="+sha256(content), bytes.NewReader(content[400:]), "Content-Range", "400-999").is(201)
		g.mustPull("a", sha256(content), content)
		g.sound()
	})
}

// Of chunks that come at once for one place one is taken, and nothing of the
// others.
func TestChunksAtOnce(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		for _, first := range []int{0, 300 << 10} {
			head := random(210, first)
			at := g.begin("a")
			if first > 0 {
				g.do("PATCH", at, head).is(202)
			}
			const n = 300 << 10
			var mu sync.Mutex
			var won []int
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					span := fmt.Sprintf("%d-%d", first, first+n-1)
					switch a := g.do("PATCH", at, random(uint64(220+i), n), "Content-Range", span); a.StatusCode {
					case 202:
						mu.Lock()
						won = append(won, i)
						mu.Unlock()
					case 416:
						a.refuses(416, "BLOB_UPLOAD_INVALID")
					default:
						t.Errorf("%s: %s", a.Status, a.text)
					}
				})
			}
			all.Wait()
			if len(won) != 1 {
				t.Fatalf("%v were acknowledged", won)
			}
			g.do("GET", at, nil).is(204).has("Range", fmt.Sprintf("0-%d", first+n-1))
			content := slices.Concat(head, random(uint64(220+won[0]), n))
			g.do("PUT", at+"?digest="+sha256(content), nil).is(201)
			g.mustPull("a", sha256(content), content)
		}
		g.sound()
	})
}

// Requests that close one upload at once, on two gateways, all hear of the blob: with its
// last bytes, and with none.
func TestClosesAtOnce(t *testing.T) {
	for _, h := range house.Ends() {
		t.Run(h.Name, func(t *testing.T) {
			open := h.Fresh(t)
			var gates []*gate
			for range 2 {
				gates = append(gates, serve(t, open(t, house.Options{Log: silent})))
			}
			content := random(230, 600<<10)
			for _, first := range []int{500 << 10, len(content)} {
				at := gates[0].do("PATCH", gates[0].begin("a"), content[:first]).is(202).location()
				send := func(g *gate) {
					a := g.do("PUT", at+"?digest="+sha256(content), content[first:])
					if a.StatusCode != 201 || a.Header.Get("Docker-Content-Digest") != sha256(content) {
						t.Errorf("%s: %s", a.Status, a.text)
					}
				}
				var all sync.WaitGroup
				for i := range 8 {
					all.Go(func() { send(gates[i%2]) })
				}
				all.Wait()
				send(gates[1])
				gates[0].do("PUT", at+"?digest="+sha256(content[1:]), content[first:]).refuses(404, "BLOB_UPLOAD_UNKNOWN")
			}
			gates[0].mustPull("a", sha256(content), content)
			gates[0].sound()
		})
	}
}

// To close again what is closed gives the same answer; nothing else is left of
// it. Another repository's upload is unknown, whoever knows its id.
func TestUploadIDs(t *testing.T) {
	g := quick(t)
	content := random(240, 5000)
	d := sha256(content)
	at := g.do("PATCH", g.begin("a"), content[:4000]).is(202).location()
	elsewhere := strings.Replace(at, "/v2/a/", "/v2/b/", 1)
	unknown := func(path string) {
		t.Helper()
		before := g.state()
		g.do("GET", path, nil).refuses(404, "BLOB_UPLOAD_UNKNOWN")
		g.do("HEAD", path, nil).refuses(404, "")
		g.do("PATCH", path, content).refuses(404, "BLOB_UPLOAD_UNKNOWN")
		g.do("PUT", path+"?digest="+sha256(content[:4000]), nil).refuses(404, "BLOB_UPLOAD_UNKNOWN")
		g.do("DELETE", path, nil).refuses(404, "BLOB_UPLOAD_UNKNOWN")
		if after := g.state(); after != before {
			t.Errorf("something was stored:\n%s\n%s", before, after)
		}
	}
	unknown(elsewhere)
	g.do("GET", at, nil).is(204).has("Range", "0-3999")
	for range 3 {
		g.do("PUT", at+"?digest="+d, content[4000:], "Content-Range", "4000-4999").is(201).has("Location", blob("a", d))
		g.do("PUT", at+"?digest="+d, nil).is(201).has("Docker-Content-Digest", d)
	}
	unknown(at)
	cancelled := g.do("PATCH", g.begin("a"), content).is(202).location()
	g.do("DELETE", cancelled, nil).is(204)
	unknown(cancelled)
	g.sound()
}

// What a cancelled upload had is gone at once.
func TestCancelLeavesNothing(t *testing.T) {
	var recorder *backendtest.Recorder
	g := serve(t, house.All()[0].Fresh(t)(t, house.Options{Backend: func(b backends.Backend) backends.Backend {
		recorder = backendtest.NewRecorder(b)
		return recorder
	}}))
	at := g.do("PATCH", g.begin("a"), random(250, 5000)).is(202).location()
	g.do("DELETE", at, nil).is(204)
	if n := recorder.Count(backendtest.Abort); n != 1 {
		t.Errorf("%d aborts", n)
	}
}

// Two gateways of one house take turns with the chunks of one upload. No byte that
// was acknowledged is sent to the backend again, or read from it.
func TestGatewaysTakeTurns(t *testing.T) {
	for _, h := range house.All() {
		t.Run(h.Name, func(t *testing.T) {
			open := h.Fresh(t)
			var gates []*gate
			var recorders []*backendtest.Recorder
			for range 2 {
				gates = append(gates, serve(t, open(t, house.Options{Backend: func(b backends.Backend) backends.Backend {
					r := backendtest.NewRecorder(b)
					recorders = append(recorders, r)
					return r
				}})))
			}
			content := random(260, 14<<20+77)
			at, sent := gates[0].begin("a"), 0
			for i, size := range []int{1, 7 << 20, 300, 5 << 20, 99 << 10, 0} { // around the smallest part of a bucket
				g := gates[i%2]
				g.do("PATCH", at, content[sent:sent+size]).is(202)
				sent += size
				gates[(i+1)%2].do("GET", at, nil).is(204).has("Range", fmt.Sprintf("0-%d", sent-1))
			}
			gates[1].do("PUT", at+"?digest="+sha256(content), content[sent:], "Content-Range", fmt.Sprintf("%d-%d", sent, len(content)-1)).is(201)
			var written, read int64
			for _, r := range recorders {
				written += r.Bytes(backendtest.Write)
				read += r.Bytes(backendtest.Read) + int64(r.Count(backendtest.Open))
			}
			if written != int64(len(content)) || read != 0 {
				t.Errorf("%d bytes were written, %d read, of %d", written, read, len(content))
			}
			for _, g := range gates {
				g.mustPull("a", sha256(content), content)
			}
			gates[0].sound()
		})
	}
}

// A client that goes away in the middle of a chunk leaves the upload as it was,
// and nothing else; the connection of one that is refused early serves on, or is
// closed.
func TestClientGoesAway(t *testing.T) {
	g := quick(t, func(o *gateway.Options) { o.UploadBytes = 1 << 20; o.Pace = gateway.Pace{Idle: 20 * time.Second} })
	content := random(270, 900<<10)
	at := g.do("PATCH", g.begin("a"), content[:1000]).is(202).location()
	c := g.dial()
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", at, len(content)-1000)
	c.Write(content[1000 : 600<<10])
	g.until(func() bool { return g.Store.BufferedBytes() > 0 }) // the chunk is under way
	c.Close()
	g.until(func() bool { return g.Store.BufferedBytes() == 0 })
	g.do("GET", at, nil).is(204).has("Range", "0-999")
	g.do("PATCH", at, content[1000:], "Content-Range", fmt.Sprintf("1000-%d", len(content)-1)).is(202)
	g.do("PUT", at+"?digest="+sha256(content), nil).is(201)

	// The limit is that of the whole upload, and is told before the bytes.
	at = g.do("PATCH", g.begin("a"), content).is(202).location()
	for name, body := range map[string]any{"announced": content[:200<<10], "streamed": bytes.NewReader(content[:200<<10])} {
		for _, path := range []string{at, uploads("a") + "?digest=" + sha256(content)} {
			method := "PATCH"
			if path != at {
				method, body = "POST", append(bytes.Clone(content), content...)
			}
			if a := g.do(method, path, body); a.StatusCode != 413 {
				t.Errorf("%s: %s %s: %s", name, method, path, a.Status)
			} else {
				a.refuses(413, "SIZE_INVALID")
			}
		}
	}
	g.do("GET", at, nil).is(204).has("Range", fmt.Sprintf("0-%d", len(content)-1))
	big := g.dial()
	fmt.Fprintf(big, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", at, int64(1)<<40)
	resp, err := http.ReadResponse(big.in, nil)
	if err != nil || resp.StatusCode != 413 || !resp.Close {
		t.Errorf("an upload of a terabyte: %v, %v", resp, err)
	}
	kept := g.dial()
	for range 2 { // a small chunk out of order is read to its end, and the connection lives
		fmt.Fprintf(kept, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Range: 1-5\r\n\r\nhello", at)
		resp, err := http.ReadResponse(kept.in, nil)
		if err != nil || resp.StatusCode != 416 || resp.Close {
			t.Fatalf("a chunk out of order: %v, %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	g.sound()
}

// until waits for what must happen soon.
func (g *gate) until(happened func() bool) {
	g.t.Helper()
	for end := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatal("it does not happen")
		}
	}
}

// conn is a connection on which a test says exactly what it wants.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func (g *gate) dial() *conn {
	g.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return &conn{c, bufio.NewReader(c)}
}

// halfClose ends what the client sends, and lets it read on.
func (c *conn) halfClose() { c.Conn.(*net.TCPConn).CloseWrite() }
