package main

import (
	"strings"
	"testing"
	"time"

	"artifactstore/cas"
)

// Without a terminal there is a line every ten seconds, with bytes, their rate and
// the time that is left by what this process itself has seen.
func TestVerifyProgressLines(t *testing.T) {
	var out strings.Builder
	p := newVerifyProgress(&out, "verify a")
	at := time.Now()
	p.now, p.start, p.last = func() time.Time { return at }, at, at
	for seen := int64(1000); seen <= 1000+50; seen++ {
		p.show(cas.Verification{Seen: seen, Locations: 1100, Read: (seen - 1000) << 20, Results: map[cas.Result]int64{cas.Missing: 2}})
		at = at.Add(time.Second)
	}
	p.stop()
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(got) != 5 || got[4] != "verify a: 1,050 of 1,100 locations, 50 MiB at 1.0 MiB/s, 2 failed, 50s left" {
		t.Errorf("%q", got)
	}
}
