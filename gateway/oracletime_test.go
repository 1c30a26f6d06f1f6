package gateway_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// How long an answer takes does not tell a content that lies where one may not read
// from one that is not there. Both are asked for in turn, in one run, and compared by
// rank: of two answers, one of each kind, either is the slower about as often.
func TestElsewhereTakesAsLongAsNowhere(t *testing.T) {
	x := openTable(t)
	who := x.enter("stranger", "*:other")
	x.send(who, "PUT", "/v1/packages/other/app/1", "")
	again := &pairs{x: x, size: 500}
	for _, test := range []struct {
		name    string
		from    *pairs
		samples int // of each kind
		send    func(s secret)
	}{
		{"HEAD", again, 100, func(s secret) { x.send(who, "HEAD", "/v1/blobs/"+s.sha256, "") }},
		{"HEAD by BLAKE3", again, 100, func(s secret) { x.send(who, "HEAD", "/v1/blobs/"+s.blake3, "") }},
		{"GET of a range", again, 100, func(s secret) { x.send(who, "GET", "/v1/blobs/"+s.sha256, "", "Range", "bytes=0-9") }},
		{"DELETE", again, 100, func(s secret) { x.send(who, "DELETE", "/v1/blobs/"+s.sha256, "") }},
		{"HEAD in a repository", again, 100, func(s secret) { x.send(who, "HEAD", "/v2/other/app/blobs/"+s.sha256, "") }},
		{"referrers", again, 100, func(s secret) { x.send(who, "GET", "/v2/other/app/referrers/"+s.sha256, "") }},
		{"attach", again, 100, func(s secret) {
			x.send(who, "PUT", "/v1/packages/other/app/1/files/x", fmt.Sprintf(`{"digest":%q}`, s.sha256), "Content-Type", "application/vnd.artifactstore.blob-reference+json")
		}},
		{"mount", again, 60, func(s secret) { x.send(who, "POST", "/v2/other/app/blobs/uploads/?mount="+s.sha256, "") }},
		{"mount from another's", again, 60, func(s secret) {
			x.send(who, "POST", "/v2/other/app/blobs/uploads/?mount="+s.sha256+"&from=team/app", "")
		}},
	} {
		const bound = 0.15 // one look-up more, or less, makes 0.4 of a read and of a write
		var share float64
		for samples := test.samples; samples <= 4*test.samples; samples *= 2 {
			if share = test.from.slower(samples, test.from == again, test.send); math.Abs(share-0.5) < bound {
				break
			}
		}
		t.Logf("%s: %.2f", test.name, share)
		if math.Abs(share-0.5) >= bound {
			t.Errorf("%s: what lies elsewhere is the slower in %.0f %% of pairs", test.name, share*100)
		}
	}
}

// pairs are secrets of both kinds.
type pairs struct {
	x                  *table
	size               int
	elsewhere, nowhere []secret
}

// take returns so many of both kinds, to use them again or to use them up.
func (p *pairs) take(n int, again bool) (elsewhere, nowhere []secret) {
	for len(p.elsewhere) < n {
		p.elsewhere, p.nowhere = append(p.elsewhere, p.x.elsewhere(p.size)), append(p.nowhere, newSecret(p.x.t, p.size))
	}
	elsewhere, nowhere = p.elsewhere[:n], p.nowhere[:n]
	if !again {
		p.elsewhere, p.nowhere = p.elsewhere[n:], p.nowhere[n:]
	}
	return elsewhere, nowhere
}

// slower returns in how many of all pairs of an answer of each kind the one for what
// lies elsewhere took longer.
func (p *pairs) slower(samples int, again bool, send func(secret)) float64 {
	elsewhere, nowhere := p.take(samples, again)
	timed := func(s secret) time.Duration {
		start := time.Now()
		send(s)
		return time.Since(start)
	}
	var there, absent []time.Duration
	for i := range samples {
		if rand.IntN(2) == 0 {
			there = append(there, timed(elsewhere[i]))
			absent = append(absent, timed(nowhere[i]))
		} else {
			absent = append(absent, timed(nowhere[i]))
			there = append(there, timed(elsewhere[i]))
		}
	}
	slices.Sort(absent)
	longer := 0
	for _, d := range there {
		before, _ := slices.BinarySearch(absent, d)
		longer += before
	}
	return float64(longer) / float64(samples*samples)
}
