package postgres

import (
	"encoding/json"
	"strings"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// The statements of the events of packages and tags, one for an event. They
// keep blobs.refs and the totals, and refuse as those of apply.go do.

// hasStored is the condition that a blob has a stored location.
func hasStored(blob string) string {
	return `EXISTS (SELECT FROM locations AS l WHERE l.blob = ` + blob + ` AND l.state = 'stored')`
}

// namedSQL is what follows the table "named" of blobs and how much more often, or
// less, they are named. $4 is the event's time. Releases may have come before their
// turn, hence the later time.
const namedSQL = `
counted AS (
    UPDATE blobs AS b SET refs = b.refs + named.n,
        dropped = CASE b.refs + named.n WHEN 0 THEN greatest(b.dropped, coalesce($4::timestamptz, head.recorded_at)) ELSE b.dropped END
    FROM named, head WHERE b.sha256 = named.blob AND named.n <> 0)`

// $1 and $2 place the event as in recordedSQL, $3 is its number and $4 its time.
var packageCreatedSQL = `
WITH here AS (SELECT coalesce($1::bigint, position - $2::bigint) + $3::bigint AS id, coalesce($4::timestamptz, recorded_at) AS at FROM head),
new AS (
    INSERT INTO packages (id, producer, name, version, format, state, retention_class, labels, manifest,
        media_type, artifact_type, subject, named, annotations, revision, created_at, changed_at)
    SELECT here.id, $5, $6, $7, $8, $9::text, $10, $11::jsonb, $12::bytea, nullif($13, ''), nullif($14, ''), nullif($15, ''), $16, $17, 1, here.at, here.at
    FROM here RETURNING id, state),
labelled AS (
    INSERT INTO package_labels (key, value, producer, name, version, package)
    SELECT e.key, e.value, $5, $6, $7, new.id FROM new, jsonb_each_text($11) AS e),
files AS (
    INSERT INTO package_files (package, path, blob, repository)
    SELECT new.id, e.path, e.blob, nullif($20, '') FROM new, unnest($18::text[], $19::bytea[]) AS e (path, blob)),
named AS (
    SELECT e.blob, count(*) AS n FROM unnest($19::bytea[] || CASE WHEN $12 IS NULL THEN '{}' ELSE ARRAY[$12] END) AS e (blob)
    GROUP BY e.blob),` + namedSQL + `,
total AS (UPDATE package_totals AS t SET packages = t.packages + 1 FROM new WHERE t.state = new.state)
SELECT must(NOT EXISTS (SELECT FROM named WHERE NOT ` + hasStored("named.blob") + `), 'the manifest or a file has no stored location')`

const keySQL = `producer = $1 AND name = $2 AND version = $3`

// changeSQL changes an open package, once more.
const changeSQL = `
WITH p AS (
    UPDATE packages SET revision = revision + 1, changed_at = coalesce($4::timestamptz, head.recorded_at) FROM head
    WHERE ` + keySQL + ` AND state = 'open' RETURNING id),
old AS (SELECT f.package, f.path, f.blob FROM package_files AS f, p WHERE f.package = p.id AND f.path = $5),`

var fileAddedSQL = changeSQL + `
put AS (
    INSERT INTO package_files (package, path, blob) SELECT p.id, $5, $6::bytea FROM p
    ON CONFLICT (package, path) DO UPDATE SET blob = excluded.blob),
named AS (
    SELECT e.blob, sum(e.n) AS n FROM (SELECT blob, -1 AS n FROM old UNION ALL SELECT $6, 1 FROM p) AS e GROUP BY e.blob),` + namedSQL + `
SELECT must((SELECT count(*) FROM p) = 1, 'no open package'), must(` + hasStored("$6") + `, 'the blob has no stored location'),
    must(NOT $7 OR NOT EXISTS (SELECT FROM old WHERE blob <> $6), 'another file is at the path')`

const fileRemovedSQL = changeSQL + `
gone AS (DELETE FROM package_files AS f USING old WHERE f.package = old.package AND f.path = old.path),
named AS (SELECT blob, -1 AS n FROM old),` + namedSQL + `
SELECT must((SELECT count(*) FROM p) = 1, 'no open package'), must((SELECT count(*) FROM old) = 1, 'no such file')`

var packageSealedSQL = `
WITH p AS (
    UPDATE packages SET state = 'sealed', manifest = $5::bytea, revision = revision + 1, changed_at = coalesce($4::timestamptz, head.recorded_at)
    FROM head WHERE ` + keySQL + ` AND state = 'open' AND revision = $6 RETURNING id),
named AS (SELECT $5 AS blob, 1 AS n FROM p),` + namedSQL + `,
total AS (UPDATE package_totals AS t SET packages = t.packages + CASE t.state WHEN 'open' THEN -1 ELSE 1 END FROM p)
SELECT must((SELECT count(*) FROM p) = 1, 'no open package of that revision'), must(` + hasStored("$5") + `, 'the manifest has no stored location')`

const packageRenewedSQL = `
WITH p AS (
    UPDATE packages SET retention_class = $5, revision = revision + 1, changed_at = coalesce($4::timestamptz, head.recorded_at)
    FROM head WHERE ` + keySQL + ` AND $6::text IN ('', retention_class) RETURNING id)
SELECT must((SELECT count(*) FROM p) = 1, 'no such package of that class')`

// packageDeletedSQL leaves files, labels and tags to the foreign keys, and to that
// of holds to refuse it.
const (
	packageDeletedSQL = `
WITH p AS (DELETE FROM packages WHERE ` + keySQL + ` RETURNING id, manifest, state),` + packageGoneSQL
	packageExpiredSQL = `
WITH p AS (
    DELETE FROM packages AS p WHERE ` + keySQL + ` AND revision = $5 AND NOT ` + namedByAnotherSQL + ` RETURNING id, manifest, state),` + packageGoneSQL

	// namedByAnotherSQL is the condition that another package of its repository has
	// the manifest of package p as a file.
	namedByAnotherSQL = `(p.format = 'oci' AND EXISTS (
        SELECT FROM package_files AS f WHERE f.blob = p.manifest AND f.repository = p.name AND f.package <> p.id))`

	packageGoneSQL = `
named AS (
    SELECT e.blob, -count(*) AS n FROM (
        SELECT f.blob FROM package_files AS f, p WHERE f.package = p.id
        UNION ALL SELECT manifest FROM p WHERE manifest IS NOT NULL) AS e GROUP BY e.blob),` + namedSQL + `,
total AS (UPDATE package_totals AS t SET packages = t.packages - 1 FROM p WHERE t.state = p.state)
SELECT must((SELECT count(*) FROM p) = 1, 'no such package')`
)

const tagSetSQL = `
WITH put AS (
    INSERT INTO tags (repository, tag, package, named, set_at)
    SELECT $2, $5, p.id, $6::bytea, coalesce($4::timestamptz, head.recorded_at) FROM packages AS p, head WHERE ` + keySQL + `
    ON CONFLICT (repository, tag) DO UPDATE SET package = excluded.package, named = excluded.named, set_at = excluded.set_at
    WHERE NOT $7 OR tags.package = excluded.package
    RETURNING 1)
SELECT must((SELECT count(*) FROM put) = 1, 'no such manifest in the repository, or the tag names another')`

const tagRemovedSQL = `
WITH gone AS (DELETE FROM tags WHERE repository = $1 AND tag = $2 RETURNING 1)
SELECT must((SELECT count(*) FROM gone) = 1, 'no such tag')`

// on queues a statement about a package at a time.
func on(b *pgx.Batch, sql string, k registry.PackageKey, at *time.Time, args ...any) {
	b.Queue(sql, append([]any{k.Producer, k.Name, k.Version, at}, args...)...)
}

func queueCreated(b *pgx.Batch, base *int64, count int, n int64, at *time.Time, d registry.PackageCreated) {
	k, state, repository, oci := d.Package, registry.Open, "", registry.OCI{}
	if d.Format == registry.FormatOCI {
		state, repository, oci = registry.Sealed, k.Name, *d.OCI
	}
	paths, blobs := make([]string, len(d.Files)), make([][]byte, len(d.Files))
	for i, f := range d.Files {
		paths[i], blobs[i] = f.Path, f.Blob.Sum()
	}
	b.Queue(packageCreatedSQL, base, count, n, at, k.Producer, k.Name, k.Version, string(d.Format), string(state), d.RetentionClass,
		texts(d.Labels), d.Manifest.Sum(), oci.MediaType, oci.ArtifactType, oci.Subject, oci.Named.Sum(), texts(oci.Annotations),
		paths, blobs, repository)
}

// manifestKey is the key of a repository's manifest.
func manifestKey(repository string, manifest digest.Digest) registry.PackageKey {
	producer, _, _ := strings.Cut(repository, "/")
	return registry.PackageKey{Producer: producer, Name: repository, Version: manifest.String()}
}

// texts is a JSON object of texts, the same for equal ones; nil where there is none.
func texts(m map[string]string) []byte {
	if len(m) == 0 {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts always marshal
	}
	return b
}
