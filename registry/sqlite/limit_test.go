package sqlite

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestNoPlanByLimit: no statement has a parameter as its LIMIT (see prepare).
func TestNoPlanByLimit(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	alone := regexp.MustCompile(`LIMIT \?(%d|[0-9]*)(?: \+ 0)?`)
	limits := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range alone.FindAllString(string(text), -1) {
			limits++
			if found[len(found)-1] != '0' || found[len(found)-2] != ' ' {
				t.Errorf("%s: %q: want + 0 behind it", f, found)
			}
		}
	}
	if limits < 10 {
		t.Errorf("only %d limits found", limits)
	}
}
