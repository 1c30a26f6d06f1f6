package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// slabBytes is the unit in which memory is given out: small, so that a blob
	// of 4 KiB does not occupy a part's worth.
	slabBytes = 64 << 10
	// idleBytes of free slabs are kept when nobody uses any, against churn.
	idleBytes = 32 << 20
)

// Memory bounds the bytes that all uploads of the backends that share it hold at
// once. Everything sent waits in such a buffer, so that it can be sent again.
//
// It cannot deadlock, because nobody waits for room while holding any that needs
// room to be given back: an upload waits only for the first bytes of its next
// buffer, as many as the smallest part it may send, and holds then at most
// buffers that are being sent, which end by themselves (every attempt has a
// deadline, attempts are counted). Beyond those bytes it takes room where there
// is some and otherwise sends the part as short as it is. Waiting is in
// order of arrival, so a large demand is not overtaken for ever.
//
// A caller that holds other bounded memory while it writes to an upload must
// draw it from a bound of its own, or this argument does not hold.
type Memory struct {
	capacity int64
	room     *semaphore.Weighted
	used     atomic.Int64

	mu   sync.Mutex
	free [][]byte
}

// NewMemory returns a bound of so many bytes. Open refuses one below
// MemoryLeast. The largest part is two thirds of it: 192 MiB let an object of
// unknown size grow beyond 1 TiB.
func NewMemory(bytes int64) *Memory {
	bytes = bytes / slabBytes * slabBytes
	return &Memory{capacity: bytes, room: semaphore.NewWeighted(bytes)}
}

// MemoryLeast is the smallest bound, in bytes, that a backend works with.
const MemoryLeast = 16 << 20

// InUse returns the bytes reserved now.
func (m *Memory) InUse() int64 { return m.used.Load() }

// largestPart is the largest part, in bytes: it leaves room for others.
func (m *Memory) largestPart() int64 { return m.capacity / 3 * 2 }

// reserve waits for room for n bytes. The caller must hold no buffer but such as
// are being sent.
func (m *Memory) reserve(ctx context.Context, n int64) (*buffer, error) {
	n = slabs(n)
	if n > m.capacity {
		return nil, errors.New("a part of the upload is larger than the bound on buffered bytes")
	}
	if err := m.room.Acquire(ctx, n); err != nil {
		return nil, err
	}
	m.used.Add(n)
	return &buffer{memory: m, reserved: n, hash: sha256.New()}, nil
}

func slabs(n int64) int64 { return max(1, (n+slabBytes-1)/slabBytes) * slabBytes }

func (m *Memory) slab() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.free); n > 0 {
		s := m.free[n-1]
		m.free = m.free[:n-1]
		return s
	}
	return make([]byte, slabBytes)
}

func (m *Memory) giveBack(b *buffer) {
	m.mu.Lock()
	m.free = append(m.free, b.slabs...)
	idle := m.used.Add(-b.reserved) == 0
	if idle && len(m.free) > idleBytes/slabBytes {
		clear(m.free[idleBytes/slabBytes:])
		m.free = m.free[:idleBytes/slabBytes]
	}
	m.mu.Unlock()
	m.room.Release(b.reserved)
}

// buffer holds a part on its way: reserved bytes of room, filled slab by slab.
type buffer struct {
	memory   *Memory
	reserved int64
	size     int64 // bytes written
	slabs    [][]byte
	// hash has seen what was written: while the bytes are in the processor's cache
	// it costs half of what it does when the buffer is sent.
	hash hash.Hash
}

// tryGrow adds room up to a whole of n bytes where there is some free.
func (b *buffer) tryGrow(n int64) bool {
	const step = 16 * slabBytes
	more := min(slabs(n)-b.reserved, step)
	if more <= 0 || !b.memory.room.TryAcquire(more) {
		return false
	}
	b.memory.used.Add(more)
	b.reserved += more
	return true
}

// write takes what there is room for, up to a whole of limit bytes.
func (b *buffer) write(p []byte, limit int64) (n int) {
	for limit = min(limit, b.reserved); n < len(p) && b.size < limit; {
		at := b.size % slabBytes
		if at == 0 {
			b.slabs = append(b.slabs, b.memory.slab())
		}
		to := min(slabBytes, at+limit-b.size)
		c := copy(b.slabs[len(b.slabs)-1][at:to], p[n:])
		b.hash.Write(p[n : n+c])
		n, b.size = n+c, b.size+int64(c)
	}
	return n
}

// pad appends zeros up to a whole of n bytes, as far as there is room.
func (b *buffer) pad(n int64) {
	zeros := make([]byte, slabBytes)
	for b.size < n {
		if b.write(zeros[:min(slabBytes, n-b.size)], n) == 0 && !b.tryGrow(n) {
			return
		}
	}
}

// release gives the room back; the second time it does nothing.
func (b *buffer) release() {
	if b == nil || b.memory == nil {
		return
	}
	b.memory.giveBack(b)
	b.memory, b.slabs = nil, nil
}

// sum is the SHA-256 of what the buffer holds, in hexadecimal.
func (b *buffer) sum() string {
	if b.hash == nil {
		return noBytes
	}
	return hex.EncodeToString(b.hash.Sum(nil))
}

// noBytes is the SHA-256 of nothing.
const noBytes = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// reader reads the buffer from its start, any number of times.
func (b *buffer) reader() io.ReadSeeker { return io.NewSectionReader(bufferAt{b}, 0, b.size) }

type bufferAt struct{ b *buffer }

func (r bufferAt) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < r.b.size {
		at := off % slabBytes
		to := min(slabBytes, at+r.b.size-off)
		c := copy(p[n:], r.b.slabs[off/slabBytes][at:to])
		n, off = n+c, off+int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
