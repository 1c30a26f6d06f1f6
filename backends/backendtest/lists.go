package backendtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"artifactstore/backends"
)

var listTests = []test{
	{"List/Order", testListOrder},
	{"List/PrefixAndAfter", testListPrefix},
	{"List/Describes", testListDescribes},
	{"List/Many", testListMany},
	{"List/Stop", testListStop},
	{"List/NoUploads", testListNoUploads},
}

// tricky are keys whose order is not that of a walk over sorted folders: '-' and
// '.' sort before '/', '0' after.
var tricky = []string{
	"a", "a-", "a-b", "a.b", "b-/c", "b.", "b/a", "b/a-", "b/a.b", "b/b-/x", "b/b/-", "b/b/c", "b/b0", "b0/a", "b_", "ba", "c", "format", "z/z/z/z",
}

func (s *suite) putAll(keys []string) {
	s.Helper()
	for _, key := range keys {
		s.put(key, []byte(key))
	}
}

func testListOrder(s *suite) {
	if !slices.IsSorted(tricky) {
		s.Fatal("the keys are not in order")
	}
	if got := s.list("", ""); len(got) > 0 {
		s.Fatalf("an empty backend lists %q", got)
	}
	mixed := slices.Clone(tricky)
	slices.Reverse(mixed)
	s.putAll(mixed)
	if got := s.list("", ""); !slices.Equal(got, tricky) {
		s.Errorf("got  %q\nwant %q", got, tricky)
	}
}

// testListPrefix asks for every prefix after every key, and for others.
func testListPrefix(s *suite) {
	s.putAll(tricky)
	var ends []string
	for _, key := range tricky {
		for i := range len(key) + 1 {
			ends = append(ends, key[:i])
		}
	}
	ends = append(ends, "b/b/", "b//", "/", "../", ".", "b/..", "~", "B", "b/\xff", "\xff", strings.Repeat("b/", 300), "b/b/c/d", "-")
	slices.Sort(ends)
	ends = slices.Compact(ends)
	for _, prefix := range ends {
		for _, after := range ends {
			want := slices.DeleteFunc(slices.Clone(tricky), func(k string) bool { return !strings.HasPrefix(k, prefix) || k <= after })
			if got := s.list(prefix, after); !slices.Equal(got, want) {
				s.Fatalf("prefix %q after %q: got %q, want %q", prefix, after, got, want)
			}
		}
	}
}

func testListDescribes(s *suite) {
	s.put("k", []byte("abc"))
	want, err := s.b.Stat(s.Context(), "k")
	s.must(err)
	for info, err := range s.b.List(s.Context(), "", "") {
		// A list may know the time to the second only.
		if d := info.ModTime.Sub(want.ModTime).Abs(); err != nil || info.Key != "k" || info.Size != 3 || d.Seconds() >= 1 {
			s.Errorf("got %+v, error %v; Stat says %+v", info, err, want)
		}
	}
}

func testListMany(s *suite) {
	var keys []string
	for i := range s.Keys {
		keys = append(keys, fmt.Sprintf("n/%02d/%d", i%7, i))
	}
	s.putAll(keys)
	slices.Sort(keys)
	if got := s.list("", ""); !slices.Equal(got, keys) {
		s.Errorf("got %d keys, want %d in order", len(got), len(keys))
	}
	for _, i := range []int{0, 1, len(keys) / 2, len(keys) - 1} {
		if got := s.list("n/", keys[i]); !slices.Equal(got, keys[i+1:]) {
			s.Errorf("after %s: got %d keys, want %d", keys[i], len(got), len(keys)-i-1)
		}
	}
}

func testListStop(s *suite) {
	s.putAll(tricky)
	for stop := range len(tricky) {
		var got []string
		for info, err := range s.b.List(s.Context(), "", "") {
			s.must(err)
			if got = append(got, info.Key); len(got) > stop {
				break
			}
		}
		if !slices.Equal(got, tricky[:stop+1]) {
			s.Fatalf("stopped after %d: got %q", stop+1, got)
		}
	}
}

func testListNoUploads(s *suite) {
	s.suspended(content(s.largest(), 1))
	u, err := s.b.Begin(s.Context(), backends.Hint{Key: "k", Size: -1})
	s.must(err)
	defer u.Abort(s.Context())
	s.write(u, bytes.Repeat([]byte("x"), s.largest()))
	if got := s.list("", ""); len(got) > 0 {
		s.Errorf("uploads in progress are listed: %q", got)
	}
	s.absent("k")
}
