package gateway_test

import (
	"fmt"
	"strings"
	"testing"
)

// What one has brought is from then on one's own, and as if it were nobody else's:
// brought again, given up, deleted from a repository, it is like a content that only
// one has.
func TestBroughtElsewhereIsOnesOwn(t *testing.T) {
	post := func(x *table, who persona, s secret) string {
		return x.told(who, s, "POST", "/v1/blobs?producer=other", s.text)
	}
	toldApart(t, forgetting(`,"sha512":"DIGEST"`, []probe{
		{"put twice", func(x *table, who persona, s secret) string { return post(x, who, s) + post(x, who, s) }},
		{"put, then give up, then put", func(x *table, who persona, s secret) string {
			return post(x, who, s) +
				x.told(who, s, "DELETE", "/v1/blobs/"+s.sha256, "") +
				x.told(who, s, "GET", "/v1/blobs/"+s.sha256, "") +
				x.told(who, s, "DELETE", "/v1/blobs/"+s.sha256, "") +
				post(x, who, s)
		}},
		{"push, then delete", func(x *table, who persona, s secret) string {
			at := "/v2/other/app/blobs/"
			return x.told(who, s, "POST", at+"uploads/?digest="+s.sha256, s.text) +
				x.told(who, s, "DELETE", at+s.sha256, "") + x.told(who, s, "HEAD", at+s.sha256, "")
		}},
		{"put as a file, then take it out", func(x *table, who persona, s secret) string {
			at := "/v1/packages/other/app/1/files/" + s.sha256
			return x.told(who, s, "PUT", at, s.text) + x.told(who, s, "PUT", at, s.text) +
				x.told(who, s, "DELETE", at, "") + x.told(who, s, "GET", "/v1/blobs/"+s.sha256, "")
		}},
		{"put, then attach", func(x *table, who persona, s secret) string {
			return post(x, who, s) + x.told(who, s, "PUT", "/v1/packages/other/app/1/files/"+s.sha256,
				fmt.Sprintf(`{"digest":%q}`, s.sha256), "Content-Type", "application/vnd.artifactstore.blob-reference+json")
		}},
	}))
}

// forgetting leaves out of what probes are told what docs/design.md says is not hidden:
// a SHA-512 by which others have named a content that is one's own.
func forgetting(text string, list []probe) []probe {
	for i, p := range list {
		list[i].send = func(x *table, who persona, s secret) string {
			return strings.ReplaceAll(p.send(x, who, s), text, "")
		}
	}
	return list
}

// Bytes that one brings are written whether they lie elsewhere or not, and how long that
// takes is the disk's matter: of two answers, one of each kind, neither is nearly
// always the slower. A new one has an event more, which is nothing beside the disk, but
// not under the race detector: there the short form of the tests runs.
func TestBringingElsewhereTakesAsLongAsBringingNew(t *testing.T) {
	if testing.Short() {
		t.Skip("it compares times")
	}
	x := openTable(t)
	who := x.enter("stranger", "*:other")
	for _, test := range []struct {
		name    string
		size    int // of the content, in bytes
		samples int // of each kind
		send    func(s secret)
	}{
		{"post", 500, 50, func(s secret) { x.send(who, "POST", "/v1/blobs?producer=other", s.text) }},
		{"put of a file", 500, 50, func(s secret) { x.send(who, "PUT", "/v1/packages/other/app/1/files/"+s.sha256, s.text) }},
		{"push to a repository", 500, 50, func(s secret) { x.send(who, "POST", "/v2/other/app/blobs/uploads/?digest="+s.sha256, s.text) }},
		{"put of what is announced", 300 << 10, 30, func(s secret) { x.send(who, "PUT", "/v1/blobs/"+s.sha256+"?producer=other", s.text) }},
	} {
		const least, most = 0.05, 0.95
		once := &pairs{x: x, size: test.size}
		share := 0.0
		for samples := test.samples; samples <= 4*test.samples; samples *= 2 {
			if share = once.slower(samples, false, test.send); least < share && share < most {
				break
			}
		}
		t.Logf("%s: %.2f", test.name, share)
		if share <= least || share >= most {
			t.Errorf("%s: what lies elsewhere is the slower in %.0f %% of pairs", test.name, share*100)
		}
	}
}
