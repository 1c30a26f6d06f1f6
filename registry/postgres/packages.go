package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	packageColumns = `p.producer, p.name, p.version, p.format, p.state, p.retention_class, p.labels::text, p.manifest, p.media_type,
    coalesce(p.artifact_type, ''), coalesce(p.subject, ''), p.named, p.annotations, p.revision, p.created_at, p.changed_at`

	packageSQL = `SELECT ` + packageColumns + ` FROM packages AS p WHERE ` + keySQL

	// The blobs of a page are looked up one by one: the inner limits say so to the planner.
	filesSQL = `
SELECT f.path, ` + blobColumns + `
FROM (SELECT path, blob FROM package_files
      WHERE package = (SELECT id FROM packages WHERE ` + keySQL + `) AND path > $4 ORDER BY path LIMIT $5) AS f,
LATERAL (SELECT * FROM blobs WHERE sha256 = f.blob LIMIT 1) AS b, ` + blobLocations + `ORDER BY f.path`

	fileSQL = `
SELECT f.path, f.blob FROM package_files AS f
WHERE f.package = (SELECT id FROM packages WHERE ` + keySQL + `) AND f.path = $4`

	usedInSQL = `
SELECT producer, name, version FROM packages WHERE id = coalesce(
    (SELECT package FROM package_files WHERE blob = $2 AND repository = $1 ORDER BY package LIMIT 1),
    (SELECT id FROM packages WHERE manifest = $2 AND name = $1 AND format = 'oci' LIMIT 1))`

	// visibleSQL: $2 is the repository, $3 the time. As to the order, see hasRepositorySQL.
	visibleSQL = ` AND (
    EXISTS (SELECT FROM leases AS e WHERE e.blob = b.sha256 AND e.repository = $2 AND e.repository <> '' AND e.until > $3)
    OR (SELECT f.package FROM package_files AS f WHERE f.blob = b.sha256 AND f.repository = $2 ORDER BY f.package LIMIT 1) IS NOT NULL
    OR EXISTS (SELECT FROM packages AS p WHERE p.manifest = b.sha256 AND p.name = $2 AND p.format = 'oci'))`
)

// one runs a query that must find a row; one that finds none is fs.ErrNotExist.
func one[T any](ctx context.Context, r *Registry, what string, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	for _, arg := range args {
		if s, ok := arg.(string); ok && !storable(s) {
			var none T
			return none, fmt.Errorf("%s: %w", what, fs.ErrNotExist)
		}
	}
	return read(ctx, r, what, func(ctx context.Context, conn *pgxpool.Conn) (T, error) {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			var none T
			return none, err
		}
		v, err := pgx.CollectExactlyOneRow(rows, scan)
		if errors.Is(err, pgx.ErrNoRows) {
			err = fs.ErrNotExist
		}
		return v, err
	})
}

// BlobIn implements [registry.Packages].
func (r *Registry) BlobIn(ctx context.Context, repository string, d digest.Digest, now time.Time) (registry.Blob, error) {
	what := fmt.Sprintf("blob %s in %s", d, repository)
	sql, ok := blobBy[d.Algorithm()]
	if !ok {
		return registry.Blob{}, fmt.Errorf("%s: %w", what, fs.ErrNotExist)
	}
	return one(ctx, r, what, scanBlob, sql+visibleSQL, d.Sum(), repository, now)
}

// Package implements [registry.Packages].
func (r *Registry) Package(ctx context.Context, k registry.PackageKey) (registry.Package, error) {
	return one(ctx, r, "package "+k.String(), scanPackage, packageSQL, k.Producer, k.Name, k.Version)
}

// Files implements [registry.Packages].
func (r *Registry) Files(ctx context.Context, k registry.PackageKey, after string) iter.Seq2[registry.PackageFile, error] {
	if !storable(k.Producer) || !storable(k.Name) || !storable(k.Version) {
		return nothing[registry.PackageFile]()
	}
	return list[registry.PackageFile]{
		what: "files of " + k.String(), sql: filesSQL, args: []any{k.Producer, k.Name, k.Version},
		scan: func(row pgx.CollectableRow) (f registry.PackageFile, err error) {
			var b blobRow
			err = row.Scan(append([]any{&f.Path}, b.targets()...)...)
			f.Blob = b.blob()
			return f, err
		},
		key: func(f registry.PackageFile) string { return f.Path },
	}.walk(ctx, r, after)
}

// File implements [registry.Packages].
func (r *Registry) File(ctx context.Context, k registry.PackageKey, path string) (registry.File, error) {
	return one(ctx, r, fmt.Sprintf("file %q of %s", path, k), scanFile, fileSQL, k.Producer, k.Name, k.Version, path)
}

func scanFile(row pgx.CollectableRow) (f registry.File, err error) {
	var blob []byte
	err = row.Scan(&f.Path, &blob)
	f.Blob = digestOf(digest.SHA256, blob)
	return f, err
}

// UsedIn implements [registry.Packages].
func (r *Registry) UsedIn(ctx context.Context, repository string, blob digest.Digest) (registry.PackageKey, error) {
	return one(ctx, r, fmt.Sprintf("packages of %s with %s", repository, blob), pgx.RowToStructByPos[registry.PackageKey], usedInSQL, repository, blob.Sum())
}

func scanPackage(row pgx.CollectableRow) (registry.Package, error) {
	var p packageRow
	if err := row.Scan(p.targets()...); err != nil {
		return registry.Package{}, err
	}
	return p.value()
}

// packageRow is packageColumns as they are scanned.
type packageRow struct {
	registry.Package
	oci                                  registry.OCI
	mediaType                            *string
	labels, manifest, named, annotations []byte
}

func (row *packageRow) targets() []any {
	return []any{&row.Producer, &row.Name, &row.Version, &row.Format, &row.State, &row.RetentionClass, &row.labels, &row.manifest,
		&row.mediaType, &row.oci.ArtifactType, &row.oci.Subject, &row.named, &row.annotations, &row.Revision, &row.CreatedAt, &row.ChangedAt}
}

func (row *packageRow) value() (registry.Package, error) {
	p := row.Package
	p.Manifest, p.CreatedAt, p.ChangedAt = digestOf(digest.SHA256, row.manifest), p.CreatedAt.UTC(), p.ChangedAt.UTC()
	labels, err := textsOf(row.labels)
	annotations, err2 := textsOf(row.annotations)
	if err := errors.Join(err, err2); err != nil {
		return registry.Package{}, fmt.Errorf("package %s: %w", p.PackageKey, err)
	}
	p.Labels = labels
	if row.mediaType != nil {
		oci := row.oci
		oci.MediaType, oci.Named, oci.Annotations = *row.mediaType, namedOf(row.named), annotations
		p.OCI = &oci
	}
	return p, nil
}

// namedOf is the digest that something was pushed by: its length says which.
func namedOf(sum []byte) digest.Digest {
	if len(sum) == digest.SHA512.Size() {
		return digest.New(digest.SHA512, sum)
	}
	return digestOf(digest.BLAKE3, sum)
}

// textsOf reads what texts has written.
func textsOf(b []byte) (m map[string]string, err error) {
	if b != nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}
