package backendtest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"artifactstore/backends"
)

var resumeTests = []test{
	{"Resume/EachSplit", testResumeSplits},
	{"Resume/ManyTimes", testResumeManyTimes},
	{"Resume/UnsuspendedIsGone", testUnsuspendedIsGone},
	{"Resume/EarlierState", testEarlierState},
	{"Resume/LaterStateGivenUp", testLaterState},
	{"Resume/MalformedState", testMalformedState},
	{"Resume/EndedUpload", testEndedUpload},
	{"Resume/Twice", testResumeTwice},
	{"Suspend/Twice", testSuspendTwice},
	{"Resume/AbortSuspended", testAbortSuspended},
}

// suspended returns the state of an upload that holds p and was let go of.
func (s *suite) suspended(p []byte) []byte {
	s.Helper()
	u := s.begin()
	s.write(u, p)
	state := s.suspend(u)
	s.must(u.Close())
	return state
}

func (s *suite) suspend(u backends.Upload) []byte {
	s.Helper()
	state, err := u.Suspend(s.Context())
	s.must(err)
	return state
}

func (s *suite) resume(state []byte) backends.Upload {
	s.Helper()
	u, err := s.b.Resume(s.Context(), state)
	s.must(err)
	return u
}

// testResumeSplits goes on in what another process would be.
func testResumeSplits(s *suite) {
	p := content(s.largest(), 1)
	for i, at := range s.Splits {
		key := fmt.Sprint("k", i)
		state := s.suspended(p[:at])
		s.absent(key)
		s.b = s.place.Open(s.T)
		u := s.resume(state)
		s.write(u, p[at:])
		s.must(u.Commit(s.Context(), key))
		s.must(u.Abort(s.Context()))
		s.holds(key, p)
	}
	if n, err := s.b.Sweep(s.Context(), time.Now().Add(day)); n != 0 || err != nil {
		s.Errorf("left behind: %d uploads, error %v", n, err)
	}
}

// testResumeManyTimes suspends after each of many writes, some empty.
func testResumeManyTimes(s *suite) {
	p := content(s.largest(), 2)
	u := s.begin()
	step := len(p)/9 + 1
	for i := 0; i < len(p); i += step {
		s.write(u, p[i:min(i+step, len(p))])
		state := s.suspend(u)
		state = bytes.Clone(state)
		s.must(u.Close())
		u = s.resume(state)
		if i%2 == 0 {
			again := s.suspend(u)
			s.must(u.Close())
			u = s.resume(again)
		}
	}
	s.must(u.Commit(s.Context(), "k"))
	s.holds("k", p)
	s.left("k")
}

func testUnsuspendedIsGone(s *suite) {
	p := content(s.largest(), 3)
	at := len(p) / 3
	u := s.begin()
	s.write(u, p[:at])
	state := s.suspend(u)
	s.write(u, p[at:])
	s.must(u.Close())
	u = s.resume(state)
	s.write(u, []byte("tail"))
	s.must(u.Commit(s.Context(), "k"))
	s.holds("k", append(p[:at:at], "tail"...))
	s.left("k")
}

func testEarlierState(s *suite) {
	p := content(s.largest(), 4)
	for i, at := range s.Splits {
		key := fmt.Sprint("k", i)
		u := s.begin()
		s.write(u, p[:at])
		first := s.suspend(u)
		s.write(u, p[at:])
		s.suspend(u)
		s.must(u.Close())
		u = s.resume(first)
		other := content(len(p), 5)
		s.write(u, other)
		s.must(u.Commit(s.Context(), key))
		s.holds(key, append(p[:at:at], other...))
		s.want("resume the committed", second(s.b.Resume(s.Context(), first)), backends.ErrUploadUnknown)
	}
}

// testLaterState goes on from an earlier state and then tries the later one. It
// may fail, at any step; what it must not do is to commit a mixture.
func testLaterState(s *suite) {
	p := content(s.largest(), 6)
	at := len(p) / 2
	u := s.begin()
	s.write(u, p[:at])
	first := s.suspend(u)
	s.write(u, p[at:])
	later := s.suspend(u)
	s.must(u.Close())

	u = s.resume(first)
	other := content(len(p), 7)
	s.write(u, other)
	third := s.suspend(u)
	s.must(u.Close())

	if u, err := s.b.Resume(s.Context(), later); err == nil {
		if err := u.Commit(s.Context(), "later"); err == nil {
			s.holds("later", p)
			return
		}
		s.must(u.Close())
	}
	if u, err := s.b.Resume(s.Context(), third); err == nil {
		if err := u.Commit(s.Context(), "third"); err == nil {
			s.holds("third", append(p[:at:at], other...))
		}
	}
}

func testMalformedState(s *suite) {
	state := s.suspended([]byte("abc"))
	foreign := s.suspended(nil)
	u := s.resume(foreign)
	s.must(u.Abort(s.Context()))
	for _, bad := range [][]byte{
		nil, {}, []byte(" "), []byte("x"), []byte("{}"), []byte("null"), {0}, {0xa0}, []byte("../../etc/passwd"), []byte(strings.Repeat("a", 1<<20)),
		state[:len(state)-1], state[:len(state)/2], append(bytes.Clone(state), 'x'), append([]byte(" "), state...), foreign,
		bytes.Repeat(state, 2),
	} {
		u, err := s.b.Resume(s.Context(), bad)
		s.want(fmt.Sprintf("resume %.60q", bad), err, backends.ErrUploadUnknown)
		if err == nil {
			s.must(u.Close())
		}
	}
	u = s.resume(state) // which none of them harmed
	s.must(u.Commit(s.Context(), "k"))
	s.holds("k", []byte("abc"))
}

func testEndedUpload(s *suite) {
	p := content(s.largest(), 1)
	ends := map[string]func(u backends.Upload){
		"committed": func(u backends.Upload) { s.must(u.Commit(s.Context(), "k")) },
		"aborted":   func(u backends.Upload) { s.must(u.Abort(s.Context())) },
		"swept": func(u backends.Upload) {
			s.must(u.Close())
			_, err := s.b.Sweep(s.Context(), time.Now().Add(day))
			s.must(err)
		},
	}
	for name, end := range ends {
		state := s.suspended(p)
		end(s.resume(state))
		_, err := s.b.Resume(s.Context(), state)
		s.want("resume "+name, err, backends.ErrUploadUnknown)
	}
	s.holds("k", p)
	s.left("k")
}

// testResumeTwice lets two go on from one state at once. Either may be refused
// at any call, but what is committed is one's bytes, and stays so.
func testResumeTwice(s *suite) {
	head := content(s.largest()/2, 1)
	for round := range 4 {
		state := s.suspended(head)
		tails := [2][]byte{bytes.Repeat([]byte("a"), s.largest()), bytes.Repeat([]byte("b"), s.largest()/2)}
		ups := [2]backends.Upload{s.resume(state), nil}
		other := s.place.Open(s.T)
		var err error
		if ups[1], err = other.Resume(s.Context(), state); err != nil {
			ups[1] = nil
		}
		s.race(ups, head, tails, round)
	}
}

// race writes both tails by turns and commits one after the other.
func (s *suite) race(ups [2]backends.Upload, head []byte, tails [2][]byte, round int) {
	s.Helper()
	key := func(i int) string { return fmt.Sprintf("k/%d/%d", round, i) }
	failed := [2]bool{false, ups[1] == nil}
	try := func(i int, f func() error) {
		if !failed[i] {
			err := f()
			if failed[i] = err != nil; failed[i] {
				s.Logf("round %d: the one of the two resumed %d: %v", round, i, err)
			}
		}
	}
	commit := func(i int) {
		for _, u := range ups {
			if u != nil && s.Settle != nil {
				s.Settle(u)
			}
		}
		try(i, func() error { return ups[i].Commit(s.Context(), key(i)) })
	}
	order := [2]int{round % 2, 1 - round%2}
	for half := range 2 {
		for _, i := range order {
			part := tails[i][half*len(tails[i])/2 : (half+1)*len(tails[i])/2]
			try(i, func() error { return second(ups[i].Write(part)) })
			if half == 1 && round >= 2 {
				commit(i)
			}
		}
	}
	for _, i := range order {
		if round < 2 {
			commit(i)
		}
	}
	if failed[0] && failed[1] && !s.Spoils {
		s.Errorf("round %d: neither of the two could commit", round)
	}
	for i := range 2 {
		if ups[i] != nil {
			s.must(ups[i].Abort(s.Context()))
		}
		if !failed[i] {
			s.holds(key(i), append(head[:len(head):len(head)], tails[i]...))
		}
	}
}

// testSuspendTwice lets two go on from one state and be suspended at one offset,
// each with bytes of its own: what the one Suspend made durable the other must not
// change, whichever came last.
func testSuspendTwice(s *suite) {
	head := content(100, 1)
	for round := range 2 {
		state := s.suspended(head)
		var ups [2]backends.Upload
		for i, b := range []backends.Backend{s.b, s.place.Open(s.T)} {
			if u, err := b.Resume(s.Context(), state); err == nil {
				ups[i] = u
			} else {
				s.Logf("round %d: the one of the two resumed %d: %v", round, i, err)
			}
		}
		var states [2][]byte
		for _, i := range [2]int{round, 1 - round} {
			if ups[i] == nil {
				continue
			}
			_, err := ups[i].Write(bytes.Repeat([]byte{'a' + byte(i)}, 1000))
			if err == nil {
				states[i], err = ups[i].Suspend(s.Context())
			}
			if err != nil {
				s.Logf("round %d: the one of the two resumed %d: %v", round, i, err)
			}
		}
		if states[0] == nil && states[1] == nil && !s.Spoils {
			s.Errorf("round %d: neither of the two could be suspended", round)
		}
		for i, state := range states {
			if ups[i] != nil {
				s.must(ups[i].Close())
			}
			if state == nil {
				continue
			}
			key := fmt.Sprintf("k/%d/%d", round, i)
			u, err := s.b.Resume(s.Context(), state)
			if err == nil {
				err = u.Commit(s.Context(), key)
			}
			if err != nil {
				s.Logf("round %d: going on with %d: %v", round, i, err)
				continue
			}
			s.holds(key, append(head[:len(head):len(head)], bytes.Repeat([]byte{'a' + byte(i)}, 1000)...))
		}
	}
}

func testAbortSuspended(s *suite) {
	u := s.begin()
	s.write(u, content(s.largest(), 1))
	s.suspend(u)
	s.write(u, []byte("more"))
	s.must(u.Abort(s.Context()))
	u = s.resume(s.suspended(content(s.largest(), 1)))
	s.must(u.Abort(s.Context()))
	s.left()
}
