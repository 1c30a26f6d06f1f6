package backends

// Prober is a Backend that can tell in microseconds, asking nobody, that it has no
// object under some keys.
type Prober interface {
	// Absent reports that there is no object under a key. False says nothing.
	Absent(key string) bool
}

// Absent reports whether a backend knows at next to no cost that it has no object
// under a key. False says nothing: not every backend is a [Prober].
func Absent(b Backend, key string) bool {
	p, ok := b.(Prober)
	return ok && p.Absent(key)
}
