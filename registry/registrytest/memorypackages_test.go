package registrytest

import (
	"context"
	"io/fs"
	"iter"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// listPage is how many entries are read at once, as registries do.
const listPage = 100

// list walks what a function finds from a key, a page at a time, so that the
// model may change in between.
func list[T any](ctx context.Context, m *memory, after string, find func(after string) []T, key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for {
			if err := ctx.Err(); err != nil {
				yield(none, err)
				return
			}
			m.mu.Lock()
			found := find(after)
			m.mu.Unlock()
			if len(found) == 0 {
				return
			}
			for _, one := range found[:min(len(found), listPage)] {
				if !yield(one, nil) {
					return
				}
				after = key(one)
			}
		}
	}
}

func (m *memory) BlobIn(_ context.Context, repository string, d digest.Digest, now time.Time) (registry.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.BlobIn(repository, d, now)
}

func (m *memory) Package(_ context.Context, k registry.PackageKey) (registry.Package, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Package(k)
}

func (m *memory) Files(ctx context.Context, k registry.PackageKey, after string) iter.Seq2[registry.PackageFile, error] {
	return list(ctx, m, after, func(after string) []registry.PackageFile { return m.model.Files(k, after) },
		func(f registry.PackageFile) string { return f.Path })
}

func (m *memory) File(_ context.Context, k registry.PackageKey, path string) (registry.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.model.Files(k, "") {
		if f.Path == path {
			return registry.File{Path: path, Blob: f.SHA256}, nil
		}
	}
	return registry.File{}, fs.ErrNotExist
}

func (m *memory) UsedIn(_ context.Context, repository string, blob digest.Digest) (registry.PackageKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.UsedIn(repository, blob)
}

func (m *memory) ManifestByTag(_ context.Context, repository, tag string) (registry.Tag, registry.Package, registry.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.ManifestByTag(repository, tag)
}

func (m *memory) ManifestByDigest(_ context.Context, repository string, d digest.Digest) (registry.Package, registry.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.ManifestByDigest(repository, d)
}

func (m *memory) Tags(ctx context.Context, repository, after string) iter.Seq2[registry.Tag, error] {
	return list(ctx, m, after, func(after string) []registry.Tag { return m.model.Tags(repository, after) },
		func(t registry.Tag) string { return t.Name })
}

func (m *memory) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return list(ctx, m, after, m.model.Repositories, func(name string) string { return name })
}

func (m *memory) HasRepository(_ context.Context, repository string, now time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.HasRepository(repository, now), nil
}

func (m *memory) Referrers(ctx context.Context, repository string, subjects []string, artifactType, after string) iter.Seq2[registry.Referrer, error] {
	subjects = slices.Clone(subjects)
	return list(ctx, m, after, func(after string) []registry.Referrer {
		return m.model.Referrers(repository, subjects, artifactType, after)
	}, func(r registry.Referrer) string { return r.Version })
}
