package digest

import (
	"encoding/binary"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// groupSize is how many bytes of a stream are compressed at once: as many
// chunks as the widest vectors have lanes.
const groupSize = guts.MaxSIMD * guts.ChunkSize // 16 KiB

// maxHeight is the number of bits in the number of groups of a stream whose size
// is an int64.
const maxHeight = 63 - 14

// cvSize is the number of bytes of a chaining value.
const cvSize = 32

// tree computes BLAKE3 (section 2 of its paper) over groups of 16 chunks, each a
// complete subtree. The library's own hasher starts goroutines in each write and
// its state cannot be saved.
//
// A group is compressed only when a byte after it has come: the last group, full or
// not, is where the root is made from.
type tree struct {
	groups uint64               // compressed so far
	roots  [maxHeight][8]uint32 // at i the subtree of 1<<i groups, where groups has bit i
	buf    [groupSize]byte      // the group that is not compressed yet
	n      int                  // bytes in buf
}

func (t *tree) reset() { t.groups, t.n = 0, 0 }

func (t *tree) write(p []byte) {
	if t.n > 0 || len(p) <= groupSize {
		n := copy(t.buf[t.n:], p)
		t.n += n
		p = p[n:]
	}
	if len(p) == 0 {
		return
	}
	if t.n > 0 { // full, and there is more
		t.compress(&t.buf)
	}
	for len(p) > groupSize {
		t.compress((*[groupSize]byte)(p))
		p = p[groupSize:]
	}
	t.n = copy(t.buf[:], p)
}

// compress adds a full group and joins the subtrees of equal height that it
// completes, as a carry runs through a binary counter.
func (t *tree) compress(group *[groupSize]byte) {
	cv := guts.ChainingValue(guts.CompressBuffer(group, groupSize, &guts.IV, t.groups*guts.MaxSIMD, 0))
	height := bits.TrailingZeros64(^t.groups)
	for i := range height {
		cv = guts.ChainingValue(guts.ParentNode(t.roots[i], cv, &guts.IV, 0))
	}
	t.roots[height] = cv
	t.groups++
}

// sum returns the hash of all bytes so far; it changes nothing.
func (t *tree) sum() [32]byte {
	node := guts.CompressBuffer(&t.buf, t.n, &guts.IV, t.groups*guts.MaxSIMD, 0)
	for i := range maxHeight {
		if t.groups>>i&1 == 1 {
			node = guts.ParentNode(t.roots[i], guts.ChainingValue(node), &guts.IV, 0)
		}
	}
	node.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(node))
	return [32]byte(out[:])
}

// appendState appends the chaining values, lowest subtree first, and the bytes
// of the group that is not compressed yet. How many there are of either follows
// from the size of the stream.
func (t *tree) appendState(b []byte) []byte {
	for i := range maxHeight {
		if t.groups>>i&1 == 1 {
			for _, word := range t.roots[i] {
				b = binary.LittleEndian.AppendUint32(b, word)
			}
		}
	}
	return append(b, t.buf[:t.n]...)
}

// position returns the number of compressed groups and of bytes behind them
// after size bytes.
func position(size int64) (groups uint64, n int) {
	if size == 0 {
		return 0, 0
	}
	groups = uint64(size-1) / groupSize
	return groups, int(size - int64(groups)*groupSize)
}

// stateSize returns the length of what appendState appends after size bytes.
func stateSize(size int64) int {
	groups, n := position(size)
	return bits.OnesCount64(groups)*cvSize + n
}

// setState sets the tree to what appendState wrote after size bytes; len(state)
// is stateSize(size).
func (t *tree) setState(size int64, state []byte) {
	t.groups, t.n = position(size)
	for i := range maxHeight {
		if t.groups>>i&1 == 1 {
			for w := range t.roots[i] {
				t.roots[i][w] = binary.LittleEndian.Uint32(state[4*w:])
			}
			state = state[cvSize:]
		}
	}
	copy(t.buf[:], state)
}
