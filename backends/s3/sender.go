package s3

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// atOnce is how many parts of one upload are on their way at once.
const atOnce = 4

func itoa(n int) string { return strconv.Itoa(n) }

// sender sends the parts of one upload. A buffer handed to it is released when
// its part is stored; the buffers of parts that failed stay until they are sent
// again by Commit, or released.
type sender struct {
	ctx    context.Context // of the sends: ends at Abort and Close only
	cancel context.CancelFunc
	slots  chan struct{}

	mu     sync.Mutex
	parts  []part
	failed map[int]*buffer
	err    error
}

func newSender(ctx context.Context, parts []part) *sender {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &sender{ctx: ctx, cancel: cancel, slots: make(chan struct{}, atOnce), parts: parts, failed: map[int]*buffer{}}
}

// next is the number of the next part, and sent the bytes before it.
func (s *sender) next() (n int, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts) + 1, total(s.parts)
}

// start sends the next part beside the caller. It waits for a place; the buffers in
// the places need nothing to be sent.
func (s *sender) start(ctx context.Context, m *multipart, body *buffer) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	s.parts = append(s.parts, part{size: body.size})
	n := len(s.parts)
	s.mu.Unlock()
	go func() {
		defer func() { <-s.slots }()
		s.send(s.ctx, m, n, body)
	}()
	return nil
}

func (s *sender) send(ctx context.Context, m *multipart, n int, body *buffer) {
	p, err := m.send(ctx, n, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed[n] = body
		if s.err == nil {
			s.err = err
		}
		return
	}
	body.release()
	delete(s.failed, n)
	s.parts[n-1] = p
}

// failure is the first error of a part, nil while there is none.
func (s *sender) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// wait returns when no part is on its way.
func (s *sender) wait(ctx context.Context) error {
	for i := range atOnce {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			for range i {
				<-s.slots
			}
			return ctx.Err()
		}
	}
	for range atOnce {
		<-s.slots
	}
	return nil
}

// finish waits for the parts and sends those that failed once more.
func (s *sender) finish(ctx context.Context, m *multipart) ([]part, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.err = nil
	again := maps.Clone(s.failed)
	s.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(again)) {
		s.send(ctx, m, n, again[n])
		if err := s.failure(); err != nil {
			return nil, err
		}
	}
	return slices.Clone(s.parts), nil
}

// stop ends the sends and releases what they hold. It reports whether it cut any
// off: the service may still be busy with those.
func (s *sender) stop() (cut bool) {
	cut = len(s.slots) > 0
	s.cancel()
	s.wait(context.Background()) // each ends at once, its context being cancelled
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, body := range s.failed {
		body.release()
	}
	clear(s.failed)
	return cut
}
