package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"artifactstore/registry"
	"artifactstore/registry/registrytest"
	"artifactstore/registry/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) func(*testing.T) registry.Registry {
		path := filepath.Join(t.TempDir(), "data", "registry.db")
		return func(t *testing.T) registry.Registry {
			r, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
	})
}
