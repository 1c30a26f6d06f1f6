package sqlite

import (
	"path/filepath"
	"testing"

	"artifactstore/registry"
	"artifactstore/registry/registrytest"
)

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) func(*testing.T) registry.Registry {
		path := filepath.Join(t.TempDir(), "data", "registry.db")
		return func(t *testing.T) registry.Registry {
			r, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
	})
}
