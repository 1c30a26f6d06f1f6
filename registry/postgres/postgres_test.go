package postgres_test

import (
	"testing"

	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
	"artifactstore/registry/registrytest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registrytest.Opener {
		url := pgtest.New(t)
		return func(t *testing.T) registry.Registry { return open(t, url) }
	})
}

// open opens a database for a caller that closes it.
func open(t testing.TB, url string) *postgres.Registry {
	t.Helper()
	r, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
