package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"artifactstore/backends"
	"artifactstore/backends/s3/s3test"
)

func TestBuffer(t *testing.T) {
	m := NewMemory(MemoryLeast)
	b, err := m.reserve(t.Context(), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	p := content(300_000, 3)
	if n := b.write(p, 300_000); n != 2*slabBytes || b.size != 2*slabBytes {
		t.Fatalf("took %d bytes of two slabs' room", n)
	}
	if !b.tryGrow(300_000) || b.reserved != 5*slabBytes {
		t.Fatalf("grew to %d", b.reserved)
	}
	if n := b.write(p[2*slabBytes:], 200_000); b.size != 200_000 || n != 200_000-2*slabBytes {
		t.Fatalf("took %d, holds %d, limit 200000", n, b.size)
	}
	for range 2 { // read twice
		r := b.reader()
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, p[:200_000]) {
			t.Fatalf("read %d bytes, error %v", len(got), err)
		}
	}
	b.pad(250_000)
	if got, _ := io.ReadAll(b.reader()); !bytes.Equal(got, append(p[:200_000:200_000], make([]byte, 50_000)...)) {
		t.Fatal("padded wrongly")
	}
	if m.InUse() != 5*slabBytes {
		t.Errorf("%d bytes in use", m.InUse())
	}
	b.release()
	b.release()
	if m.InUse() != 0 {
		t.Errorf("%d bytes in use after release", m.InUse())
	}
}

func TestReserveWaits(t *testing.T) {
	m := NewMemory(MemoryLeast)
	first, err := m.reserve(t.Context(), MemoryLeast)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.reserve(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v of a full memory", err)
	}
	if first.tryGrow(2 * MemoryLeast) {
		t.Error("grew beyond the bound")
	}
	if _, err := m.reserve(t.Context(), MemoryLeast+1); err == nil {
		t.Error("more than there is was promised")
	}
	first.release()
}

// TestManyUploadsShareLittleMemory starts far more uploads than there is memory
// for. All must end (nobody waits for what another waiting one holds), and no
// more than the bound may be in use or ever be made.
func TestManyUploadsShareLittleMemory(t *testing.T) {
	o := options(s3test.Fake(t), s3test.Prefix())
	o.Memory = NewMemory(MemoryLeast)
	b := openBackend(t, o)
	p := content(9<<20, 4)
	var most atomic.Int64
	var all sync.WaitGroup
	for i := range 24 {
		hint := backends.Hint{Size: -1}
		if i%2 == 0 {
			hint = backends.Hint{Key: "known", Size: int64(len(p))}
		}
		all.Go(func() {
			u, err := b.Begin(t.Context(), hint)
			if err != nil {
				t.Error(err)
				return
			}
			defer u.Abort(t.Context())
			for off := 0; off < len(p); off += 100_000 {
				if _, err := u.Write(p[off:min(off+100_000, len(p))]); err != nil {
					t.Error(err)
					return
				}
				for used := o.Memory.InUse(); ; {
					if old := most.Load(); used <= old || most.CompareAndSwap(old, used) {
						break
					}
				}
			}
			if err := u.Commit(t.Context(), "known"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > MemoryLeast || most.Load() < MemoryLeast/2 {
		t.Errorf("at most %d bytes were in use, with a bound of %d", most.Load(), int64(MemoryLeast))
	}
	if made := len(o.Memory.free); made*slabBytes > MemoryLeast {
		t.Errorf("%d slabs were made", made)
	}
	if o.Memory.InUse() != 0 {
		t.Errorf("%d bytes are in use after all", o.Memory.InUse())
	}
}
