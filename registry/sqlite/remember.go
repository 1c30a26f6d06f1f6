package sqlite

import (
	"slices"
	"sync"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// remembered bounds what is remembered of each kind, to a few megabytes.
const remembered = 4096

// memory is the blobs, or the tokens, looked up since the last commit. Before each use it is
// held against the mark of the database, so what any process commits is seen
// at once, and a commit empties it. What is absent is not remembered: a put asks
// once.
type memory[T any] struct {
	index *index    // nil: nothing is remembered
	copy  func(T) T // so that nobody reaches what is remembered

	mu    sync.RWMutex
	at    mark // of the database that was read
	found map[digest.Digest]T
}

// recall returns what is remembered. Where it is not, it returns the
// mark that what is looked up from here on may be kept under, zero for none.
func (m *memory[T]) recall(d digest.Digest) (v T, now mark, known bool) {
	if m.index == nil {
		return v, now, false
	}
	now, ok := m.index.now()
	if !ok {
		return v, mark{}, false
	}
	m.mu.RLock()
	if m.at == now {
		v, known = m.found[d]
	}
	m.mu.RUnlock()
	return m.copy(v), now, known
}

// keep remembers what was looked up after the mark was taken. It is never
// older than the mark: where there was a commit in between, it may be newer, and
// whoever comes later has another mark and looks it up again.
func (m *memory[T]) keep(d digest.Digest, v T, since mark) {
	if since == (mark{}) {
		return
	}
	v = m.copy(v)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at != since || m.found == nil {
		m.at, m.found = since, map[digest.Digest]T{}
	}
	if len(m.found) >= remembered {
		for any := range m.found {
			delete(m.found, any)
			break
		}
	}
	m.found[d] = v
}

func copyBlob(b registry.Blob) registry.Blob {
	b.Locations = slices.Clone(b.Locations)
	return b
}
