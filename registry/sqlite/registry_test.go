package sqlite

import (
	"testing"

	"artifactstore/registry"
	"artifactstore/registry/registrytest"
	"artifactstore/registry/sqlite/sqlitetest"
)

func TestRegistry(t *testing.T) {
	registrytest.Run(t, fresh[registry.Registry])
}

func TestRetention(t *testing.T) {
	registrytest.RunRetention(t, fresh[registrytest.Keeping])
}

func TestClaims(t *testing.T) {
	registrytest.RunClaims(t, fresh[registrytest.Claiming])
}

// fresh makes a database and returns how to open it.
func fresh[T any](t *testing.T) func(*testing.T) T {
	path := sqlitetest.New(t, func(path string) (*Registry, error) { return Open(t.Context(), Options{Path: path}) })
	return func(t *testing.T) T {
		r, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return any(r).(T)
	}
}
