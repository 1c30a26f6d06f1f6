package limit

import (
	"container/list"
	"context"
	"sync"
	"time"

	"artifactstore/cas"
)

const (
	sessionRetry = 30 * time.Second
	looks        = 4           // sessions that are looked up for one that would be too many
	sweepEvery   = time.Minute // between two looks for sessions that nobody ends
)

// Sessions counts the upload sessions that were opened on this gateway and are not
// known to have ended. One that another gateway ended, or that was given up, is
// found out when it stands in the way: a few of a principal's oldest are then looked
// up. Nil, and one without a bound, counts nothing.
type Sessions struct {
	Most int // of one principal; 0 for any number
	// Keep is how long a session is counted that nothing is heard of.
	Keep time.Duration
	// Open reports whether a session is still open.
	Open func(context.Context, cas.Session) bool
	Now  func() time.Time

	mu    sync.Mutex
	of    map[string]*list.List    // of *session by who has them, the longest unheard of first
	known map[string]*list.Element // by the session's ID
	swept time.Time
}

type session struct {
	cas.Session
	who   string
	heard time.Time
}

// Begin makes room for a session of the principal of ctx, or refuses it with
// [*Exceeded]. began is called with what became of it: the zero Session where it
// could not be opened.
func (s *Sessions) Begin(ctx context.Context) (began func(cas.Session), err error) {
	if s == nil || s.Most == 0 {
		return func(cas.Session) {}, nil
	}
	who := Who(ctx)
	place := s.reserve(who)
	if place == nil && s.lookUp(ctx, who) {
		place = s.reserve(who)
	}
	if place == nil {
		return nil, &Exceeded{What: "sessions", Most: s.Most, Retry: sessionRetry}
	}
	return func(opened cas.Session) { s.settle(place, opened) }, nil
}

// reserve takes a place where there is one, and nil where not.
func (s *Sessions) reserve(who string) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if s.of == nil {
		s.of, s.known = map[string]*list.List{}, map[string]*list.Element{}
	}
	if s.of[who] == nil {
		s.of[who] = list.New()
	}
	if s.of[who].Len() >= s.Most {
		return nil
	}
	return s.of[who].PushBack(&session{who: who, heard: s.Now()})
}

func (s *Sessions) settle(place *list.Element, opened cas.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if opened.ID == "" {
		s.remove(place)
		return
	}
	place.Value.(*session).Session = opened
	s.known[opened.ID] = place
}

// lookUp asks after a few of the sessions that were not heard of for longest, and
// reports whether one of them has ended.
func (s *Sessions) lookUp(ctx context.Context, who string) (ended bool) {
	for _, at := range s.oldest(who) {
		if s.Open(ctx, at) {
			s.Heard(at.ID)
		} else {
			s.End(at.ID)
			ended = true
		}
	}
	return ended
}

func (s *Sessions) oldest(who string) (some []cas.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[who] == nil {
		return nil
	}
	for e := s.of[who].Front(); e != nil && len(some) < looks; e = e.Next() {
		if at := e.Value.(*session); at.ID != "" {
			some = append(some, at.Session)
		}
	}
	return some
}

// Heard notes that a session is in use.
func (s *Sessions) Heard(id string) {
	s.with(id, func(e *list.Element) {
		at := e.Value.(*session)
		at.heard = s.Now()
		s.of[at.who].MoveToBack(e)
	})
}

// End counts a session no longer.
func (s *Sessions) End(id string) { s.with(id, s.remove) }

// with does something to a session that is counted.
func (s *Sessions) with(id string, do func(*list.Element)) {
	if s == nil || s.Most == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.known[id]; e != nil {
		do(e)
	}
}

func (s *Sessions) remove(e *list.Element) {
	at := e.Value.(*session)
	delete(s.known, at.ID)
	if of := s.of[at.who]; of != nil {
		of.Remove(e)
		if of.Len() == 0 {
			delete(s.of, at.who)
		}
	}
}

// sweep forgets sessions that nothing was heard of for as long as they are kept.
func (s *Sessions) sweep() {
	now := s.Now()
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for _, of := range s.of {
		for e := of.Front(); e != nil && now.Sub(e.Value.(*session).heard) > s.Keep; e = of.Front() {
			s.remove(e)
		}
	}
}
