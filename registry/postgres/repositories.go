package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

const (
	manifestByTagSQL = `
SELECT ` + blobColumns + `, ` + packageColumns + `, ` + tagColumns + `
FROM tags AS t JOIN packages AS p ON p.id = t.package JOIN blobs AS b ON b.sha256 = p.manifest, ` + blobLocations + `
WHERE t.repository = $1 AND t.tag = $2`

	manifestSQL = `
SELECT ` + blobColumns + `, ` + packageColumns + `
FROM blobs AS b JOIN packages AS p ON p.manifest = b.sha256 AND p.name = $1 AND p.format = 'oci', ` + blobLocations

	tagColumns = `t.tag, (SELECT manifest FROM packages AS m WHERE m.id = t.package), t.named, t.set_at`

	tagsSQL = `SELECT ` + tagColumns + ` FROM tags AS t
WHERE t.repository = $1 AND t.tag > $2 ORDER BY t.tag LIMIT $3`

	// repositoriesSQL goes from one name to the next by the index: a step for a
	// repository, however many manifests it has.
	repositoriesSQL = `
WITH RECURSIVE next AS (
    (SELECT name FROM packages WHERE format = 'oci' AND name > $1 ORDER BY name LIMIT 1)
    UNION ALL
    SELECT (SELECT p.name FROM packages AS p WHERE p.format = 'oci' AND p.name > next.name ORDER BY p.name LIMIT 1)
    FROM next WHERE next.name IS NOT NULL)
SELECT name FROM next WHERE name IS NOT NULL LIMIT $2`

	// The order makes the planner take the index: for a mere EXISTS it would begin to
	// read the table, in the hope of one of many early on.
	hasRepositorySQL = `
SELECT (SELECT version FROM packages WHERE name = $1 AND format = 'oci' ORDER BY version LIMIT 1) IS NOT NULL
    OR EXISTS (SELECT FROM leases WHERE repository = $1 AND repository <> '' AND until > $2)`

	// referrersSQL reads of each subject's manifests a page in the index's order, and
	// merges the pages.
	referrersSQL = `
SELECT ` + packageColumns + `, b.size
FROM unnest($2::text[]) AS s (subject), LATERAL (
    SELECT * FROM packages AS q
    WHERE q.name = $1 AND q.subject = s.subject AND q.version > $4 AND ($3 = '' OR q.artifact_type = $3)
    ORDER BY q.version LIMIT $5) AS p
JOIN blobs AS b ON b.sha256 = p.manifest
ORDER BY p.version LIMIT $5`
)

var manifestBy = map[digest.Algorithm]string{
	digest.SHA256: manifestSQL + `WHERE b.sha256 = $2`,
	digest.SHA512: manifestSQL + `WHERE b.sha512 = $2`,
	digest.BLAKE3: manifestSQL + `WHERE b.blake3 = $2`,
}

// manifestRow is a manifest as it is scanned, with its tag where that was asked for.
type manifestRow struct {
	blob blobRow
	pack packageRow
	tag  tagRow
}

type tagRow struct {
	registry.Tag
	manifest, named []byte
}

func (row *tagRow) targets() []any { return []any{&row.Name, &row.manifest, &row.named, &row.SetAt} }

func (row *tagRow) value() registry.Tag {
	return registry.Tag{Name: row.Name, Manifest: digestOf(digest.SHA256, row.manifest), Named: namedOf(row.named), SetAt: row.SetAt.UTC()}
}

// ManifestByTag implements [registry.Packages].
func (r *Registry) ManifestByTag(ctx context.Context, repository, tag string) (registry.Tag, registry.Package, registry.Blob, error) {
	m, err := one(ctx, r, fmt.Sprintf("tag %s:%s", repository, tag), func(row pgx.CollectableRow) (m manifestRow, err error) {
		err = row.Scan(slices.Concat(m.blob.targets(), m.pack.targets(), m.tag.targets())...)
		return m, err
	}, manifestByTagSQL, repository, tag)
	if err != nil {
		return registry.Tag{}, registry.Package{}, registry.Blob{}, err
	}
	p, err := m.pack.value()
	return m.tag.value(), p, m.blob.blob(), err
}

// ManifestByDigest implements [registry.Packages].
func (r *Registry) ManifestByDigest(ctx context.Context, repository string, d digest.Digest) (registry.Package, registry.Blob, error) {
	what := fmt.Sprintf("manifest %s@%s", repository, d)
	sql, ok := manifestBy[d.Algorithm()]
	if !ok {
		return registry.Package{}, registry.Blob{}, fmt.Errorf("%s: %w", what, fs.ErrNotExist)
	}
	m, err := one(ctx, r, what, func(row pgx.CollectableRow) (m manifestRow, err error) {
		err = row.Scan(slices.Concat(m.blob.targets(), m.pack.targets())...)
		return m, err
	}, sql, repository, d.Sum())
	if err != nil {
		return registry.Package{}, registry.Blob{}, err
	}
	p, err := m.pack.value()
	return p, m.blob.blob(), err
}

// Tags implements [registry.Packages].
func (r *Registry) Tags(ctx context.Context, repository, after string) iter.Seq2[registry.Tag, error] {
	if !storable(repository) {
		return nothing[registry.Tag]()
	}
	return list[registry.Tag]{
		what: "tags of " + repository, sql: tagsSQL, args: []any{repository},
		scan: func(row pgx.CollectableRow) (registry.Tag, error) {
			var t tagRow
			err := row.Scan(t.targets()...)
			return t.value(), err
		},
		key: func(t registry.Tag) string { return t.Name },
	}.walk(ctx, r, after)
}

// Repositories implements [registry.Packages].
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return list[string]{
		what: "repositories", sql: repositoriesSQL,
		scan: pgx.RowTo[string],
		key:  func(name string) string { return name },
	}.walk(ctx, r, after)
}

// HasRepository implements [registry.Packages].
func (r *Registry) HasRepository(ctx context.Context, repository string, now time.Time) (bool, error) {
	if !storable(repository) {
		return false, ctx.Err()
	}
	return one(ctx, r, "repository "+repository, pgx.RowTo[bool], hasRepositorySQL, repository, now)
}

// Referrers implements [registry.Packages].
func (r *Registry) Referrers(ctx context.Context, repository string, subjects []string, artifactType, after string) iter.Seq2[registry.Referrer, error] {
	subjects = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(subjects))), func(s string) bool { return !storable(s) })
	if len(subjects) == 0 || !storable(repository) || !storable(artifactType) {
		return nothing[registry.Referrer]()
	}
	return list[registry.Referrer]{
		what: "referrers in " + repository, sql: referrersSQL, args: []any{repository, subjects, artifactType},
		scan: func(row pgx.CollectableRow) (f registry.Referrer, err error) {
			var p packageRow
			if err := row.Scan(append(p.targets(), &f.Size)...); err != nil {
				return f, err
			}
			f.Package, err = p.value()
			return f, err
		},
		key: func(f registry.Referrer) string { return f.Version },
	}.walk(ctx, r, after)
}
