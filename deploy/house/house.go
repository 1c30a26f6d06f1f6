// Package house opens the store for tests in every shape it is run in: on each
// registry and each kind of backend, with the real servers. With -short there is
// only the shape that needs no server.
package house

import (
	"context"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
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
	"artifactstore/registry/sqlite/sqlitetest"
)

// House is one shape: where the registry and the bytes are.
type House struct {
	Name string
	// Registry and Backend make an empty place each and return what opens it, as
	// often as it is called. Both are what Fresh uses.
	Registry func(t testing.TB) func(t testing.TB) registry.Registry
	Backend  func(t testing.TB) func(t testing.TB) Bytes
	// Fresh makes an empty place and returns what opens it, as often as it is
	// called, as so many gateways would.
	Fresh func(t testing.TB) func(t testing.TB, o Options) Opened
}

// Bytes is a backend, and what a test wants to know of it behind its back.
type Bytes struct {
	backends.Backend
	Root string // the directory of a local one, "" of any other
	// Files names everything that is there: the keys of objects, and in whatever
	// form what is on its way or left over. It is sorted. Markers of the format
	// and what health checks write are left out.
	Files func(t testing.TB) []string
}

// Options are what a test wants to be different.
type Options struct {
	Backend  func(backends.Backend) backends.Backend // wraps it, nil for none
	Registry func(registry.Registry) registry.Registry
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error
	Grace    time.Duration // of uploads; 0 is the default
	Collect  cas.Collection
	Log      *slog.Logger
}

// Opened is one gateway's view of a house.
type Opened struct {
	Store    *cas.Store
	Registry registry.Registry
	Backend  backends.Backend // the only one, "main"
	Bytes    Bytes            // the same, not wrapped
}

// BackendID is the name of the backend of a house.
const BackendID = "main"

// All returns every shape. A test binary that uses it ends with pgtest.Main.
func All() []House {
	all := []House{shape("sqlite+local", sqliteFile, folder)}
	if testing.Short() {
		return all
	}
	return append(all,
		shape("sqlite+rgw", sqliteFile, rgw),
		shape("postgres+local", postgresDatabase, folder),
		shape("postgres+rgw", postgresDatabase, rgw),
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
	backendPlace  func(t testing.TB) func(t testing.TB) Bytes
)

func shape(name string, newRegistry registryPlace, newBackend backendPlace) House {
	return House{name, newRegistry, newBackend, func(t testing.TB) func(testing.TB, Options) Opened {
		openRegistry, openBackend := newRegistry(t), newBackend(t)
		return func(t testing.TB, o Options) Opened {
			t.Helper()
			return open(t, openRegistry(t), openBackend(t), o)
		}
	}}
}

func open(t testing.TB, reg registry.Registry, bytes Bytes, o Options) Opened {
	t.Helper()
	h := Opened{Registry: reg, Backend: bytes.Backend, Bytes: bytes}
	if o.Registry != nil {
		h.Registry = o.Registry(reg)
	}
	if o.Backend != nil {
		h.Backend = o.Backend(h.Backend)
	}
	store, err := cas.New(cas.Options{
		Registry:    h.Registry,
		Backends:    []cas.Backend{{ID: BackendID, Backend: h.Backend}},
		Policy:      policy(),
		UploadGrace: o.Grace,
		Collection:  o.Collect,
		Sleep:       o.Sleep,
		Now:         o.Now,
		Log:         o.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Store = store
	return h
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
	open := func(path string) (*sqlite.Registry, error) {
		return sqlite.Open(context.Background(), sqlite.Options{Path: path})
	}
	path := sqlitetest.New(t, open)
	return func(t testing.TB) registry.Registry {
		r, err := open(path)
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

func folder(t testing.TB) func(testing.TB) Bytes {
	root := t.TempDir()
	return func(t testing.TB) Bytes {
		b, err := local.Open(context.Background(), local.Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		return Bytes{b, root, func(testing.TB) []string { return below(root) }}
	}
}

// below names the files below a folder but for the marker of its format.
func below(root string) (all []string) {
	filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // an upload may have taken it away meanwhile
		}
		if rel, _ := filepath.Rel(root, name); rel != "format" {
			all = append(all, filepath.ToSlash(rel))
		}
		return nil
	})
	return all
}

func rgw(t testing.TB) func(testing.TB) Bytes {
	server, prefix := s3test.RGW(t), s3test.Prefix()
	return func(t testing.TB) Bytes {
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
		return Bytes{b, "", func(t testing.TB) []string { return slices.Sorted(slices.Values(server.Everything(t, prefix))) }}
	}
}
