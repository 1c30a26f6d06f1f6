package registrytest

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// comparison is what a registry answers beside what its model does.
type comparison struct {
	t     reporter
	ctx   context.Context
	reg   registry.Registry
	model *registry.Model
}

// same compares two answers that may be errors.
func same[T any](c comparison, what string, got T, err error, want T, wantErr error) {
	c.t.Helper()
	if (err == nil) != (wantErr == nil) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.t.Fatalf("%s: %v; the model says: %v", what, err, wantErr)
	}
	if err == nil {
		diff(c.t, what, got, want)
	}
}

func (c comparison) pack(k registry.PackageKey) {
	c.t.Helper()
	got, err := c.reg.Package(c.ctx, k)
	want, wantErr := c.model.Package(k)
	same(c, "Package "+k.String(), got, err, want, wantErr)
	diff(c.t, "Files of "+k.String(), all(c.t, "Files", c.reg.Files(c.ctx, k, "")), c.model.Files(k, ""))
}

// repository compares all that hangs on a repository's name.
func (c comparison) repository(name string, now time.Time) {
	c.t.Helper()
	tags := all(c.t, "Tags", c.reg.Tags(c.ctx, name, ""))
	diff(c.t, "Tags of "+name, tags, c.model.Tags(name, ""))
	for _, t := range tags {
		tag, p, b, err := c.reg.ManifestByTag(c.ctx, name, t.Name)
		wantTag, wantP, wantB, wantErr := c.model.ManifestByTag(name, t.Name)
		same(c, "tag "+name+":"+t.Name, manifestOf{tag, p, b}, err, manifestOf{wantTag, wantP, wantB}, wantErr)
	}
	has, err := c.reg.HasRepository(c.ctx, name, now)
	same(c, "HasRepository "+name, has, err, c.model.HasRepository(name, now), nil)
}

// manifestOf is an answer about a manifest.
type manifestOf struct {
	Tag     registry.Tag
	Package registry.Package
	Blob    registry.Blob
}

// blobIn compares what a repository shows under a digest.
func (c comparison) blobIn(name string, d digest.Digest, now time.Time) {
	c.t.Helper()
	got, err := c.reg.BlobIn(c.ctx, name, d, now)
	want, wantErr := c.model.BlobIn(name, d, now)
	same(c, "BlobIn "+name+" "+d.String(), got, err, want, wantErr)

	p, b, err := c.reg.ManifestByDigest(c.ctx, name, d)
	wantP, wantB, wantErr := c.model.ManifestByDigest(name, d)
	same(c, "manifest "+name+"@"+d.String(), manifestOf{Package: p, Blob: b}, err, manifestOf{Package: wantP, Blob: wantB}, wantErr)
}

// usedIn compares whether a repository uses a blob, and asks the model whether
// the package that is named does.
func (c comparison) usedIn(name string, blob digest.Digest) {
	c.t.Helper()
	k, err := c.reg.UsedIn(c.ctx, name, blob)
	_, wantErr := c.model.UsedIn(name, blob)
	same(c, "UsedIn "+name+" "+blob.String(), true, err, true, wantErr)
	if err != nil {
		return
	}
	p, unknown := c.model.Package(k)
	uses := p.Manifest == blob || slices.ContainsFunc(c.model.Files(k, ""), func(f registry.PackageFile) bool { return f.SHA256 == blob })
	if unknown != nil || p.Format != registry.FormatOCI || k.Name != name || !uses {
		c.t.Errorf("UsedIn %s %s: %s does not use it", name, blob, k)
	}
}

func (c comparison) referrers(name string, subjects []string, artifactType string) {
	c.t.Helper()
	got := all(c.t, "Referrers", c.reg.Referrers(c.ctx, name, subjects, artifactType, ""))
	diff(c.t, "Referrers in "+name, got, c.model.Referrers(name, subjects, artifactType, ""))
}

// agreesPackages checks that the views of packages are the replay of the log.
func agreesPackages(t *testing.T, r registry.Registry, log []registry.Record, m *registry.Model) {
	t.Helper()
	c := comparison{t, t.Context(), r, m}
	repositories := map[string]bool{}
	for _, rec := range log {
		d, ok := rec.Data.(registry.PackageCreated)
		if !ok {
			continue
		}
		c.pack(d.Package)
		if d.Format == registry.FormatOCI && !repositories[d.Package.Name] {
			repositories[d.Package.Name] = true
			c.repository(d.Package.Name, day(1))
		}
	}
	if len(repositories) > 0 {
		diff(t, "Repositories", all(t, "Repositories", r.Repositories(t.Context(), "")), m.Repositories(""))
	}
}
