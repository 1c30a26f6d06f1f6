package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

const (
	selectManifestByTag = `SELECT ` + blobColumns + `, ` + packageColumns + `, t.tag, b.sha256, t.named, t.set_at
FROM tags t JOIN packages p ON p.position = t.package JOIN blobs b ON b.position = p.manifest
LEFT JOIN locations l ON l.blob = b.position
WHERE t.repository = ?1 AND t.tag = ?2 ORDER BY l.position`

	selectManifest = `SELECT ` + blobColumns + `, ` + packageColumns + `
FROM blobs b JOIN packages p ON p.manifest = b.position AND p.name = ?1 AND p.format = 'oci'
LEFT JOIN locations l ON l.blob = b.position
WHERE b.%s = ?2 ORDER BY l.position`

	selectTags = `SELECT t.tag, b.sha256, t.named, t.set_at
FROM tags t JOIN packages p ON p.position = t.package JOIN blobs b ON b.position = p.manifest
WHERE t.repository = ?1 AND t.tag > ?2 ORDER BY t.tag LIMIT ?3 + 0`

	selectRepositories = `SELECT name FROM repositories WHERE name > ?1 ORDER BY name LIMIT ?2 + 0`

	selectHasRepository = `SELECT EXISTS (SELECT 1 FROM repositories WHERE name = ?1)
OR EXISTS (SELECT 1 FROM leases WHERE repository = ?1 AND until > ?2 AND repository <> '')`
)

var selectManifestBy = byDigest(selectManifest)

// Where the columns of a package, or of what else is beside a blob, begin, and
// those of a tag.
const (
	besideBlob = 12
	tagAt      = besideBlob + 16
)

// ManifestByTag implements registry.Packages.
func (r *Registry) ManifestByTag(ctx context.Context, repository, tag string) (registry.Tag, registry.Package, registry.Blob, error) {
	var t registry.Tag
	p, b, err := r.manifest(ctx, selectManifestByTag, func(row []driver.Value) { t = tagOf(row[tagAt:]) }, repository, tag)
	if err != nil {
		return registry.Tag{}, registry.Package{}, registry.Blob{}, fmt.Errorf("tag %s:%s: %w", repository, tag, err)
	}
	return t, p, b, nil
}

// ManifestByDigest implements registry.Packages.
func (r *Registry) ManifestByDigest(ctx context.Context, repository string, d digest.Digest) (registry.Package, registry.Blob, error) {
	p, b, err := r.manifest(ctx, selectManifestBy[d.Algorithm()], nil, repository, d.Sum())
	if err != nil {
		return registry.Package{}, registry.Blob{}, fmt.Errorf("manifest %s@%s: %w", repository, d, err)
	}
	return p, b, nil
}

// manifest runs a query for one manifest, whose rows are its locations. also sees
// the first.
func (r *Registry) manifest(ctx context.Context, sql string, also func(row []driver.Value), args ...driver.Value) (p registry.Package, _ registry.Blob, err error) {
	var found blobs
	err = r.find(ctx, sql, func(row []driver.Value) (err error) {
		if len(found) == 0 {
			if also != nil {
				also(row)
			}
			if p, err = packageOf(row[besideBlob:]); err != nil {
				return err
			}
		}
		return found.add(row)
	}, args...)
	if err != nil {
		return registry.Package{}, registry.Blob{}, err
	}
	return p, found[0], nil
}

func tagOf(row []driver.Value) registry.Tag {
	return registry.Tag{
		Name: row[0].(string), Manifest: digestOf(digest.SHA256, row[1]), Named: namedOf(row[2]), SetAt: moment(row[3]),
	}
}

// Tags implements registry.Packages.
func (r *Registry) Tags(ctx context.Context, repository, after string) iter.Seq2[registry.Tag, error] {
	tags := list[registry.Tag]{
		sql:  selectTags,
		args: []driver.Value{repository},
		of:   func(row []driver.Value) (registry.Tag, error) { return tagOf(row), nil },
		key:  func(t registry.Tag) []driver.Value { return []driver.Value{t.Name} },
	}
	return tags.walk(ctx, r, []driver.Value{after}, func(err error) error { return fmt.Errorf("tags of %s: %w", repository, err) })
}

// Repositories implements registry.Packages.
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	repositories := list[string]{
		sql: selectRepositories,
		of:  func(row []driver.Value) (string, error) { return row[0].(string), nil },
		key: func(name string) []driver.Value { return []driver.Value{name} },
	}
	return repositories.walk(ctx, r, []driver.Value{after}, func(err error) error { return fmt.Errorf("repositories: %w", err) })
}

// HasRepository implements registry.Packages.
func (r *Registry) HasRepository(ctx context.Context, repository string, now time.Time) (has bool, err error) {
	err = r.find(ctx, selectHasRepository, func(row []driver.Value) error {
		has = row[0].(int64) != 0
		return nil
	}, repository, micros(now))
	if err != nil {
		return false, fmt.Errorf("repository %s: %w", repository, err)
	}
	return has, nil
}

// Referrers implements registry.Packages.
func (r *Registry) Referrers(ctx context.Context, repository string, subjects []string, artifactType, after string) iter.Seq2[registry.Referrer, error] {
	subjects = slices.Compact(slices.Sorted(slices.Values(subjects)))
	if len(subjects) == 0 {
		return func(func(registry.Referrer, error) bool) {}
	}
	referrers := list[registry.Referrer]{
		sql:  selectReferrers(len(subjects), artifactType != ""),
		args: []driver.Value{repository, artifactType},
		of: func(row []driver.Value) (registry.Referrer, error) {
			p, err := packageOf(row)
			return registry.Referrer{Package: p, Size: row[16].(int64)}, err
		},
		key: func(r registry.Referrer) []driver.Value { return []driver.Value{r.Version} },
	}
	for _, s := range subjects {
		referrers.args = append(referrers.args, s)
	}
	return referrers.walk(ctx, r, []driver.Value{after}, func(err error) error { return fmt.Errorf("referrers in %s: %w", repository, err) })
}

// selectReferrers selects the versions of each of n subjects in the order of the
// index, and merges them: nothing is sorted.
func selectReferrers(n int, typed bool) string {
	arms := make([]string, n)
	for i := range arms {
		arms[i] = fmt.Sprintf("SELECT position, version FROM packages WHERE name = ?1 AND subject = ?%d AND version > ?%d", 3+i, 3+n)
		if typed {
			arms[i] += " AND artifact_type = ?2"
		}
	}
	return fmt.Sprintf(`SELECT %s, b.size FROM (%s ORDER BY version LIMIT ?%d + 0) referrer
JOIN packages p ON p.position = referrer.position JOIN blobs b ON b.position = p.manifest ORDER BY referrer.version`,
		packageColumns, strings.Join(arms, " UNION ALL "), 4+n)
}
