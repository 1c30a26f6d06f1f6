package digest

import "testing"

// TestCheck compares it with the hasher, at the borders of groups and used again.
func TestCheck(t *testing.T) {
	content := make([]byte, 5*groupSize+1)
	for i := range content {
		content[i] = byte(i * 7)
	}
	c := NewCheck()
	defer c.Release()
	for _, n := range []int{0, 1, groupSize - 1, groupSize, groupSize + 1, 4 * groupSize, len(content)} {
		h := NewHasher()
		h.Write(content[:n])
		want, _ := h.Sum(BLAKE3)
		c.Reset()
		c.Write(content[:n/3])
		c.Write(content[n/3 : n])
		if got := c.Sum(); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
		h.Release()
	}
}
