package auth

import "sync"

// bounded is a map that forgets something when it is full. What it forgets is
// chosen by chance: who fills it with entries of their own mostly loses those. It may be
// used by many goroutines.
type bounded[K comparable, V any] struct {
	most int

	mu sync.Mutex
	m  map[K]V
}

func newBounded[K comparable, V any](most int) *bounded[K, V] {
	return &bounded[K, V]{most: most, m: map[K]V{}}
}

func (b *bounded[K, V]) get(k K) (v V, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok = b.m[k]
	return v, ok
}

func (b *bounded[K, V]) put(k K, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.m[k]; !known && len(b.m) >= b.most {
		for other := range b.m {
			delete(b.m, other)
			break
		}
	}
	b.m[k] = v
}
