// Package drill runs the backup and restore drill of deploy/dev/drill.sh with the
// program as it is built now.
package drill

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDrill loses the database of a store with and without a backup, on SQLite and a
// directory, and, unless -short, on PostgreSQL and RGW.
func TestDrill(t *testing.T) {
	program := filepath.Join(t.TempDir(), "artifactstore")
	if out, err := exec.Command("go", "build", "-o", program, "artifactstore/cmd/artifactstore").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	shapes := []string{"local"}
	if !testing.Short() {
		shapes = append(shapes, "production")
	}
	for _, shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			cmd := exec.Command("../dev/drill.sh", shape)
			cmd.Env = append(os.Environ(), "BIN="+program)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), shape+": passed\n") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
