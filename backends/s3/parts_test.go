package s3

import "testing"

const (
	gib = 1 << 30
	tib = 1 << 40
)

func TestPartSizes(t *testing.T) {
	for _, c := range []struct {
		s    sizes
		n    int
		want int64
	}{
		{sizes{chunk: 8 * mib, total: 20 * mib, largest: gib}, 1, 8 * mib},
		{sizes{chunk: 8 * mib, total: 80_000 * mib, largest: gib}, 10_000, 8 * mib},
		{sizes{chunk: 8 * mib, total: 80_000*mib + 1, largest: gib}, 1, 9 * mib},
		{sizes{chunk: 8 * mib, total: 5 * tib, largest: gib}, 1, 525 * mib},
		{sizes{chunk: 8 * mib, total: 0, largest: gib}, 1, 8 * mib},
		{sizes{chunk: 8 * mib, total: -1, largest: 128 * mib}, 1, 8 * mib},
		{sizes{chunk: 8 * mib, total: -1, largest: 128 * mib}, 500, 8 * mib},
		{sizes{chunk: 8 * mib, total: -1, largest: 128 * mib}, 501, 16 * mib},
		{sizes{chunk: 8 * mib, total: -1, largest: 128 * mib}, 2000, 64 * mib},
		{sizes{chunk: 8 * mib, total: -1, largest: 128 * mib}, 2001, 128 * mib},
		{sizes{chunk: 8 * mib, total: -1, largest: 128 * mib}, 10_000, 128 * mib},
		{sizes{chunk: 5 * mib, total: -1, largest: gib}, 10_000, 160 * mib},
		{sizes{chunk: 64 * mib, total: -1, largest: 16 * mib}, 1, 16 * mib},
	} {
		if got := c.s.target(c.n); got != c.want {
			t.Errorf("%+v: part %d is %d MiB, want %d", c.s, c.n, got/mib, c.want/mib)
		}
	}
}

// TestTenThousandPartsSuffice adds up what an upload can send when memory is
// never short (target) and when it always is (least).
func TestTenThousandPartsSuffice(t *testing.T) {
	for _, c := range []struct {
		chunk, total, largest, want int64
	}{
		{8 * mib, -1, 128 * mib, tib},
		{5 * mib, -1, 256 * mib, tib},
		{64 * mib, -1, 128 * mib, tib},
		{8 * mib, 5 * tib, 600 * mib, 5 * tib},
		{8 * mib, 100 * gib, 128 * mib, 100 * gib},
		{8 * mib, 6*mib + 1, 8 * mib, 6*mib + 1},
		{5 * mib, 50_000*mib + 1, 8 * mib, 50_000*mib + 1},
	} {
		s := sizes{chunk: c.chunk, total: c.total, largest: c.largest}
		if err := s.check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		for name, size := range map[string]func(n int, sent int64) int64{
			"target": func(n int, _ int64) int64 { return s.target(n) },
			"least":  s.least,
		} {
			var sent int64
			for n := 1; n <= partsMost; n++ {
				p := size(n, sent)
				if p < partLeast || p > s.largest || p > 5*gib {
					t.Fatalf("%+v: %s of part %d is %d", s, name, n, p)
				}
				sent += p
			}
			if sent < c.want {
				t.Errorf("%+v: %d parts of %s size hold %d GiB, want %d", s, partsMost, name, sent/gib, c.want/gib)
			}
		}
	}
}

func TestObjectTooLargeForMemory(t *testing.T) {
	if err := (sizes{chunk: 8 * mib, total: 5 * tib, largest: 128 * mib}).check(); err == nil {
		t.Error("5 TiB in parts of at most 128 MiB were accepted")
	}
}

// TestDefaultMemoryHoldsATebibyte takes the three quarters of the default of
// limits.buffered_bytes that backends of this kind get.
func TestDefaultMemoryHoldsATebibyte(t *testing.T) {
	if got := NewMemory(192 * mib).largestPart(); got < growTo {
		t.Errorf("the largest part is %d MiB, want %d", got/mib, growTo/mib)
	}
}
