package postgres

import (
	"context"
	"iter"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

func (r *Registry) BlobIn(ctx context.Context, repository string, d digest.Digest, now time.Time) (b registry.Blob, err error) {
	return b, registry.ErrUnavailable
}
func (r *Registry) Package(ctx context.Context, k registry.PackageKey) (p registry.Package, err error) {
	return p, registry.ErrUnavailable
}
func (r *Registry) Files(ctx context.Context, k registry.PackageKey, after string) iter.Seq2[registry.File, error] {
	return nil
}
func (r *Registry) UsedIn(ctx context.Context, repository string, blob digest.Digest) (k registry.PackageKey, err error) {
	return k, registry.ErrUnavailable
}
func (r *Registry) ManifestByTag(ctx context.Context, repository, tag string) (t registry.Tag, p registry.Package, b registry.Blob, err error) {
	return t, p, b, registry.ErrUnavailable
}
func (r *Registry) ManifestByDigest(ctx context.Context, repository string, d digest.Digest) (p registry.Package, b registry.Blob, err error) {
	return p, b, registry.ErrUnavailable
}
func (r *Registry) Tags(ctx context.Context, repository, after string) iter.Seq2[registry.Tag, error] {
	return nil
}
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return nil
}
func (r *Registry) HasRepository(ctx context.Context, repository string, now time.Time) (bool, error) {
	return false, registry.ErrUnavailable
}
func (r *Registry) Referrers(ctx context.Context, repository string, subjects []string, artifactType, after string) iter.Seq2[registry.Referrer, error] {
	return nil
}

func (r *Registry) File(ctx context.Context, k registry.PackageKey, path string) (f registry.File, err error) {
	return f, registry.ErrUnavailable
}
