package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/backends/local"
)

func TestContract(t *testing.T) {
	backendtest.Run(t, backendtest.Options{}, inDirectory(""))
}

func TestContractUnderPrefix(t *testing.T) {
	backendtest.Run(t, backendtest.Options{Sizes: []int{5000}, Rounds: 10}, inDirectory("format/prod"))
}

func inDirectory(prefix string) func(t *testing.T) backendtest.Place {
	return func(t *testing.T) backendtest.Place {
		root := t.TempDir()
		return backendtest.Place{
			Open: func(t *testing.T) backends.Backend {
				b, err := local.Open(t.Context(), local.Options{Root: root, KeyPrefix: prefix})
				if err != nil {
					t.Fatal(err)
				}
				return b
			},
			Leftovers: func() (names []string) {
				entries, err := os.ReadDir(filepath.Join(root, ".staging"))
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					names = append(names, e.Name())
				}
				return names
			},
		}
	}
}
