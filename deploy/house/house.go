// Package house opens the store for tests in every shape it is run in: on each
// registry and each kind of backend, with the real servers. With -short there is
// only the shape that needs no server.
package house

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/backends/s3"
	"artifactstore/backends/s3/s3test"
	"artifactstore/cas"
	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
	"artifactstore/registry/sqlite"
)

// House is one shape: where the registry and the bytes are.
type House struct {
	Name string
	// Fresh makes an empty place and returns what opens it, as often as it is
	// called, as so many gateways would.
	Fresh func(t testing.TB) func(t testing.TB, o Options) Opened
}

// Options are what a test wants to be different.
type Options struct {
	Backend func(backends.Backend) backends.Backend // wraps it, nil for none
	Now     func() time.Time
	Grace   time.Duration // of uploads; 0 is the default
	Log     *slog.Logger
}

// Opened is one gateway's view of a house.
type Opened struct {
	Store    *cas.Store
	Registry registry.Registry
	Backend  backends.Backend // the only one, "main"
}

// BackendID is the name of the backend of a house.
const BackendID = "main"

// All returns every shape. A test binary that uses it ends with pgtest.Main.
func All() []House {
	all := []House{{"sqlite+local", shape(sqliteFile, folder)}}
	if testing.Short() {
		return all
	}
	return append(all,
		House{"sqlite+rgw", shape(sqliteFile, rgw)},
		House{"postgres+local", shape(postgresDatabase, folder)},
		House{"postgres+rgw", shape(postgresDatabase, rgw)},
	)
}

// Ends returns the two shapes that have nothing in common, for tests that take
// long.
func Ends() []House {
	all := All()
	return []House{all[0], all[len(all)-1]}[:min(2, len(all))]
}

type (
	registryPlace func(t testing.TB) func(t testing.TB) registry.Registry
	backendPlace  func(t testing.TB) func(t testing.TB) backends.Backend
)

func shape(newRegistry registryPlace, newBackend backendPlace) func(testing.TB) func(testing.TB, Options) Opened {
	return func(t testing.TB) func(testing.TB, Options) Opened {
		openRegistry, openBackend := newRegistry(t), newBackend(t)
		return func(t testing.TB, o Options) Opened {
			t.Helper()
			h := Opened{Registry: openRegistry(t), Backend: openBackend(t)}
			if o.Backend != nil {
				h.Backend = o.Backend(h.Backend)
			}
			store, err := cas.New(cas.Options{
				Registry:    h.Registry,
				Backends:    []cas.Backend{{ID: BackendID, Backend: h.Backend}},
				Policy:      policy(),
				UploadGrace: o.Grace,
				Now:         o.Now,
				Log:         o.Log,
			})
			if err != nil {
				t.Fatal(err)
			}
			h.Store = store
			return h
		}
	}
}

func policy() cas.Policy {
	const day = 24 * time.Hour
	return cas.Policy{
		Default:      BackendID,
		DefaultClass: "standard",
		Classes:      map[string]time.Duration{"ephemeral": 7 * day, "standard": 90 * day, "release": -1},
	}
}

func sqliteFile(t testing.TB) func(testing.TB) registry.Registry {
	path := filepath.Join(t.TempDir(), "registry.db")
	return func(t testing.TB) registry.Registry {
		r, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
		return opened(t, r, err)
	}
}

func postgresDatabase(t testing.TB) func(testing.TB) registry.Registry {
	url := pgtest.New(t)
	return func(t testing.TB) registry.Registry {
		r, err := postgres.Open(context.Background(), postgres.Options{URL: url})
		return opened(t, r, err)
	}
}

func opened(t testing.TB, r registry.Registry, err error) registry.Registry {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func folder(t testing.TB) func(testing.TB) backends.Backend {
	root := t.TempDir()
	return func(t testing.TB) backends.Backend {
		b, err := local.Open(context.Background(), local.Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func rgw(t testing.TB) func(testing.TB) backends.Backend {
	server, prefix := s3test.RGW(t), s3test.Prefix()
	return func(t testing.TB) backends.Backend {
		b, err := s3.Open(context.Background(), s3.Options{
			EndpointURL: server.EndpointURL,
			Region:      server.Region,
			Bucket:      server.Bucket,
			KeyPrefix:   prefix,
			PathStyle:   true,
			Memory:      s3.NewMemory(64 << 20),
			Credentials: func(context.Context) (string, string, error) { return server.AccessKey, server.SecretKey, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}
