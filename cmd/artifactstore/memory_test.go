package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What TestMemory moves, and the bound that it proves.
const (
	memoryTransfers = 32        // in each direction
	memoryBound     = 150 << 20 // resident bytes of the gateway
)

// TestMemory holds 32 uploads and 32 downloads of 1 GiB each in flight at once
// and measures the largest resident set that the gateway's process ever had
// (VmHWM, which the kernel keeps: nothing is missed between two looks).
//
// What a transfer costs is its buffers, which do not depend on how much has
// passed. So not every byte of 64 GiB must pass: each upload moves 64 MiB, 256
// times its buffer, and each download as much, then they stand still in
// mid-body, holding all they ever hold, until all 64 are there; then one upload
// and one download of 1 GiB go on to their end beside the others, which shows
// that the peak does not grow with the bytes, and that those which stand still
// keep nobody out. The contents all differ and their digests are unknown, so
// none is short-cut.
//
// The gateway is the one that is shipped, not the test binary: the race
// detector's own memory is many times that of the program. With -short the blobs
// have 128 MiB and stand still after 8.
func TestMemory(t *testing.T) {
	m := &memory{t: t, blob: 1 << 30, steady: 64 << 20}
	if testing.Short() {
		m.blob, m.steady = 128<<20, 8<<20
	}
	m.server = start(t, shipped(t), t.TempDir(), "ARTIFACTSTORE_LIMITS_IDLE=10m")
	m.upload(context.Background(), 0, nil) // what is downloaded: moves 1 GiB alone
	before := m.peak()
	all, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range memoryTransfers {
		up, down := m.gate(), m.gate()
		m.running.Go(func() { m.upload(all, uint64(i+1), up) })
		m.running.Go(func() { m.download(all, down) })
	}
	m.waitSteady()
	steady := m.peak()
	m.gates[0].open()
	m.gates[1].open()
	m.waitDone()
	end := m.peak()
	cancel()
	m.running.Wait()
	t.Logf("peak resident: %d MiB after one transfer, %d MiB with %d in flight, %d MiB when the first of them had ended",
		before>>20, steady>>20, 2*memoryTransfers, end>>20)
	if end > memoryBound {
		t.Errorf("the gateway took %d MiB, more than %d", end>>20, memoryBound>>20)
	}
}

// memory is a gateway and the transfers to and from it.
type memory struct {
	t       *testing.T
	server  *server
	blob    int64  // bytes of each
	steady  int64  // bytes after which a transfer stands still
	path    string // of what is downloaded
	gates   []*gate
	running sync.WaitGroup
}

// gate stops a transfer in mid-body until it is opened.
type gate struct {
	reached chan struct{} // closed by the transfer that stands before it
	opened  chan struct{}
	done    chan struct{} // closed by a transfer that came to its end
}

func (m *memory) gate() *gate {
	g := &gate{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	m.gates = append(m.gates, g)
	return g
}

func (g *gate) open() { close(g.opened) }

// pass waits until the gate is open; nil has no gate.
func (g *gate) pass(ctx context.Context) error {
	if g == nil {
		return nil
	}
	close(g.reached)
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) end() {
	if g != nil {
		close(g.done)
	}
}

// transferTime bounds each phase on a machine with much else to do.
const transferTime = 5 * time.Minute

func (m *memory) waitSteady() {
	m.t.Helper()
	late := time.After(transferTime)
	for i, g := range m.gates {
		select {
		case <-g.reached:
		case <-m.server.ended:
			m.t.Fatalf("the gateway ended: %v\n%s", m.server.err, m.server.logged())
		case <-late:
			m.t.Fatalf("transfer %d has not come half way", i)
		}
	}
}

func (m *memory) waitDone() {
	m.t.Helper()
	late := time.After(transferTime)
	for _, g := range m.gates[:2] {
		select {
		case <-g.done:
		case <-late:
			m.t.Fatal("a transfer does not end beside those that stand still")
		}
	}
}

// generator is a stream of bytes that differ by its number, made as they are
// read.
type generator struct {
	number uint64
	left   int64
	still  int64        // what is left when the gate is called
	gate   func() error // called once
}

func (g *generator) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	if g.gate != nil && g.left <= g.still {
		pass := g.gate
		g.gate = nil
		if err := pass(); err != nil {
			return 0, err
		}
	}
	n := int(min(int64(len(p)), g.left))
	if n >= 16 {
		binary.LittleEndian.PutUint64(p, g.number)
		binary.LittleEndian.PutUint64(p[8:], uint64(g.left))
	}
	g.left -= int64(n)
	return n, nil
}

func (m *memory) upload(ctx context.Context, number uint64, gate *gate) {
	body := &generator{number: number, left: m.blob, still: m.blob - m.steady, gate: func() error { return gate.pass(ctx) }}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.server.url+"/v1/blobs", io.NopCloser(body))
	if err != nil {
		m.t.Error(err)
		return
	}
	req.ContentLength = m.blob
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			m.t.Errorf("upload %d: %v", number, err)
		}
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		m.t.Errorf("upload %d: %s", number, resp.Status)
		return
	}
	if gate == nil {
		m.path = resp.Header.Get("Location")
	}
	gate.end()
}

func (m *memory) download(ctx context.Context, gate *gate) {
	if err := m.read(ctx, gate); err != nil && !errors.Is(err, context.Canceled) {
		m.t.Errorf("download: %v", err)
	}
}

func (m *memory) read(ctx context.Context, gate *gate) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server.url+m.path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	n, err := io.CopyN(io.Discard, resp.Body, m.steady)
	if err != nil {
		return err
	}
	if err := gate.pass(ctx); err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, resp.Body)
	if err == nil && n+rest != m.blob {
		err = fmt.Errorf("%d bytes of %d", n+rest, m.blob)
	}
	if err == nil {
		gate.end()
	}
	return err
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peak returns the largest resident set so far, in bytes.
func (m *memory) peak() int64 {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.server.cmd.Process.Pid))
	if err != nil {
		m.t.Fatalf("the kernel tells no high-water mark: %v", err)
	}
	found := highWater.FindStringSubmatch(string(text))
	if found == nil {
		m.t.Fatalf("no VmHWM in %s", strings.TrimSpace(string(text)))
	}
	kib, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return kib << 10
}
