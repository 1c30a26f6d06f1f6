package backendtest

import (
	"time"

	"artifactstore/backends"
)

var sweepTests = []test{
	{"Sweep/ByAge", testSweepByAge},
	{"Sweep/BesideUploads", testSweepBeside},
}

func testSweepByAge(s *suite) {
	s.put("k", []byte("kept"))
	p := content(s.largest(), 1)
	state := s.suspended(p) // suspended and let go of
	crashed := s.begin()    // written to, and the process has gone
	s.write(crashed, p)
	s.must(crashed.Close())
	if n, err := s.b.Sweep(s.Context(), time.Now().Add(-day)); n != 0 || err != nil {
		s.Errorf("removed %d uploads of today, error %v", n, err)
	}
	u := s.resume(state)
	s.must(u.Close())
	n, err := s.place.Open(s.T).Sweep(s.Context(), time.Now().Add(day))
	// What was never suspended may have left nothing to remove.
	if n < 1 || n > 2 || err != nil {
		s.Errorf("removed %d uploads, error %v; want the suspended one, and at most one more", n, err)
	}
	s.want("resume the swept", second(s.b.Resume(s.Context(), state)), backends.ErrUploadUnknown)
	s.holds("k", []byte("kept"))
	s.left("k")
}

func testSweepBeside(s *suite) {
	p := content(s.largest(), 1)
	u := s.begin()
	s.write(u, p[:len(p)/2])
	state := s.suspended(p[:len(p)/2])
	sweep := func() {
		_, err := s.b.Sweep(s.Context(), time.Now().Add(-day))
		s.must(err)
	}
	sweep()
	s.write(u, p[len(p)/2:])
	v := s.resume(state)
	sweep()
	s.write(v, p[len(p)/2:])
	s.must(u.Commit(s.Context(), "u"))
	sweep()
	s.must(v.Commit(s.Context(), "v"))
	s.holds("u", p)
	s.holds("v", p)
	s.left("u", "v")
}
