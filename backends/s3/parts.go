package s3

import "fmt"

const (
	mib = 1 << 20
	// partsMost is the largest number of parts of one upload, and partLeast the
	// smallest part that is not the last; both are the protocol's.
	partsMost = 10000
	partLeast = 5 * mib
	// While the size is unknown the parts double every growEvery parts, until they
	// are growTo or more, so that 10,000 of them hold more than 1 TiB.
	growEvery = 500
	growTo    = 128 * mib
)

// sizes says how large each part of an upload is.
type sizes struct {
	threshold int64 // up to here an object is one put
	chunk     int64 // the part size that is wished for
	total     int64 // of the object, -1 if unknown
	largest   int64 // part that memory allows
}

// check returns an error where an object of the known size cannot be sent.
func (s sizes) check() error {
	if need := ceil(s.total, partsMost); need > s.largest {
		return fmt.Errorf("an object of %d bytes needs parts of %d, more than two thirds of the bound on buffered bytes: raise it", s.total, need)
	}
	return nil
}

// target is the size in bytes that part n, from 1, should have.
func (s sizes) target(n int) int64 {
	if s.total >= 0 {
		return min(s.largest, max(s.chunk, roundUp(ceil(s.total, partsMost), mib)))
	}
	size := s.chunk
	for ; n > growEvery && size < growTo; n -= growEvery {
		size *= 2
	}
	return min(s.largest, size)
}

// least is the smallest size part n may have when sent bytes came before it, so
// that the rest still fits. It is what an upload waits for room for.
func (s sizes) least(n int, sent int64) int64 {
	switch {
	case s.total > sent && n <= partsMost:
		return max(partLeast, ceil(s.total-sent, int64(partsMost-n+1)))
	case s.total < 0 && n > growEvery:
		return s.target(n)
	}
	return partLeast
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

func roundUp(a, to int64) int64 { return ceil(a, to) * to }
