package config

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var located = regexp.MustCompile(`^f\.yaml:[1-9][0-9]*:[1-9][0-9]*: `)

// FuzzLoad reads any file: it ends, every mistake has a place, and what is taken
// shows as a file that is taken for the same.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{full, s3, "listen: 127.0.0.1:0", "a: [", "a: {b: [", "? a\n: b", "--- a", "- - - a", "a: |\n  b", "\ufeffa: 'b", "limits:\n\tidle: 1s", "a: &b *b", "x: <<: y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		late := time.AfterFunc(10*time.Second, func() { panic("still reading: " + strconv.Quote(source)) })
		defer late.Stop()
		c, err := load("f.yaml", source, nil)
		if err != nil {
			if first, _, _ := strings.Cut(err.Error(), "\n"); !located.MatchString(first) {
				t.Errorf("no place in %q", first)
			}
			return
		}
		shown, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := load("shown.yaml", string(shown), nil)
		if err != nil {
			t.Fatalf("shown:\n%s\n%v", shown, err)
		}
		c.Registry.URL = redact(c.Registry.URL)
		if diff := cmp.Diff(c, back, same); diff != "" {
			t.Errorf("shown and loaded (-before +after):\n%s", diff)
		}
	})
}
