package sqlite

import (
	"slices"
	"sync"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// rememberBlobs bounds what is remembered, to a few megabytes.
const rememberBlobs = 4096

// memory is the blobs looked up since the last commit. Before each use it is
// held against the mark of the database, so what any process commits is seen
// at once, and a commit empties it. What is absent is not remembered: a put asks
// once.
type memory struct {
	index *index // nil: nothing is remembered

	mu    sync.RWMutex
	at    mark // of the database that blobs were read from
	blobs map[digest.Digest]registry.Blob
}

// recall returns a blob that is remembered. Where it is not, it returns the
// mark that what is looked up from here on may be kept under, zero for none.
func (m *memory) recall(d digest.Digest) (b registry.Blob, now mark, found bool) {
	if m.index == nil {
		return b, now, false
	}
	now, ok := m.index.now()
	if !ok {
		return b, mark{}, false
	}
	m.mu.RLock()
	if m.at == now {
		b, found = m.blobs[d]
	}
	m.mu.RUnlock()
	b.Locations = slices.Clone(b.Locations)
	return b, now, found
}

// keep remembers a blob that was looked up after the mark was taken. It is never
// older than the mark: where there was a commit in between, it may be newer, and
// whoever comes later has another mark and looks it up again.
func (m *memory) keep(d digest.Digest, b registry.Blob, since mark) {
	if since == (mark{}) {
		return
	}
	b.Locations = slices.Clone(b.Locations)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at != since || m.blobs == nil {
		m.at, m.blobs = since, map[digest.Digest]registry.Blob{}
	}
	if len(m.blobs) >= rememberBlobs {
		for any := range m.blobs {
			delete(m.blobs, any)
			break
		}
	}
	m.blobs[d] = b
}
