package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// What the events of packages and tags do to the views. A blob without a stored
// location is no row, or makes a key NULL that must not be.
const (
	selectPosition = `SELECT position FROM packages WHERE producer = ?1 AND name = ?2 AND version = ?3`

	storedBlob = `FROM blobs WHERE sha256 = ?2
AND EXISTS (SELECT 1 FROM locations WHERE blob = blobs.position AND state = 'stored')`

	applyPackageCreated = `
INSERT INTO packages (position, manifest, producer, name, version, format, state, retention_class,
  media_type, artifact_type, subject, named, annotations, revision, created_at, changed_at)
VALUES (?1, (SELECT position ` + storedBlob + `), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14, ?14)`

	applyLabel = `
INSERT INTO package_labels (package, key, value, producer, name, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`

	applyFile = `
INSERT INTO package_files (package, blob, path, repository) SELECT ?1, position, ?3, ?4 ` + storedBlob + `
ON CONFLICT (package, path) DO UPDATE SET blob = excluded.blob WHERE ?5 = 0 OR blob = excluded.blob`

	applyFileRemoved = `DELETE FROM package_files WHERE package = ?1 AND path = ?2`

	applyOpenChanged = `
UPDATE packages SET revision = revision + 1, changed_at = ?2 WHERE position = ?1 AND state = 'open'`

	applyPackageSealed = `
UPDATE packages SET state = 'sealed', manifest = (SELECT position ` + storedBlob + `),
  revision = revision + 1, changed_at = ?3
WHERE position = ?1 AND state = 'open' AND revision = ?4`

	applyPackageRenewed = `
UPDATE packages SET retention_class = ?2, revision = revision + 1, changed_at = ?3
WHERE position = ?1 AND ?4 IN ('', retention_class)`

	applyPackageDeleted = `DELETE FROM packages WHERE position = ?1`

	applyTagSet = `
INSERT INTO tags (repository, tag, package, named, set_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (repository, tag) DO UPDATE SET package = excluded.package, named = excluded.named, set_at = excluded.set_at
WHERE ?6 = 0 OR package = excluded.package`

	applyTagRemoved = `DELETE FROM tags WHERE repository = ?1 AND tag = ?2`
)

// What keeps blobs.refs, and when a blob lost the last of them. Each follows, or comes
// before, the rows that it counts.
const (
	countBlob   = `UPDATE blobs SET refs = refs + 1 WHERE sha256 = ?1`
	uncountFile = `UPDATE blobs SET refs = refs - 1, dropped = iif(refs = 1, ?3, dropped)
WHERE position = (SELECT blob FROM package_files WHERE package = ?1 AND path = ?2)`
	countNamed   = `UPDATE blobs SET refs = refs + named.n` + namedBlobs
	uncountNamed = `UPDATE blobs SET refs = refs - named.n, dropped = iif(refs = named.n, ?2, dropped)` + namedBlobs

	// namedBlobs are the blobs that a package names, and how often.
	namedBlobs = ` FROM (SELECT blob, count(*) AS n FROM (
  SELECT blob FROM package_files WHERE package = ?1
  UNION ALL SELECT manifest FROM packages WHERE position = ?1 AND manifest IS NOT NULL
) GROUP BY blob) named WHERE position = named.blob`
)

// applyPackage applies an event of a package or a tag.
func applyPackage(c *conn, position, at int64, e registry.Event) error {
	switch d := e.Data.(type) {
	case registry.PackageCreated:
		return packageCreated(c, position, at, d)
	case registry.PackageFileAdded:
		return packageFileAdded(c, at, d)
	case registry.PackageFileRemoved:
		return packageFileRemoved(c, at, d)
	case registry.PackageSealed:
		return packageSealed(c, at, d)
	case registry.PackageRenewed:
		return onPackage(c, d, d.Package, func(p int64) error { return one(c, d, applyPackageRenewed, p, d.RetentionClass, at, d.Was) })
	case registry.PackageDeleted:
		return packageDeleted(c, at, d)
	case registry.TagSet:
		return tagSet(c, at, d)
	case registry.TagRemoved:
		return one(c, d, applyTagRemoved, d.Repository, d.Tag)
	}
	return applyRetention(c, position, at, e)
}

func packageCreated(c *conn, position, at int64, d registry.PackageCreated) error {
	k, state, repository, oci := d.Package, registry.Open, driver.Value(nil), make([]driver.Value, 5)
	if d.Format == registry.FormatOCI {
		state, repository, oci = registry.Sealed, k.Name, ociColumns(d.OCI)
	}
	args := []driver.Value{position, sum(d.Manifest), k.Producer, k.Name, k.Version, string(d.Format), string(state), d.RetentionClass}
	if err := one(c, d, applyPackageCreated, append(append(args, oci...), at)...); err != nil {
		return err
	}
	for key, value := range d.Labels {
		if err := one(c, d, applyLabel, position, key, value, k.Producer, k.Name, k.Version); err != nil {
			return err
		}
	}
	for _, f := range d.Files {
		if err := one(c, d, applyFile, position, f.Blob.Sum(), f.Path, repository, false); err != nil {
			return err
		}
	}
	return some(c, d, countNamed, position)
}

// ociColumns are what a package of a repository has besides.
func ociColumns(o *registry.OCI) []driver.Value {
	return []driver.Value{o.MediaType, optional(o.ArtifactType), optional(o.Subject), sum(o.Named), texts(o.Annotations)}
}

// packageFileAdded counts the new blob before the old one is counted no longer:
// it may be the same.
func packageFileAdded(c *conn, at int64, d registry.PackageFileAdded) error {
	return onPackage(c, d, d.Package, func(p int64) error {
		return steps(
			func() error { return one(c, d, applyOpenChanged, p, at) },
			func() error { return one(c, d, countBlob, d.Blob.Sum()) },
			func() error { return some(c, d, uncountFile, p, d.Path, at) },
			func() error { return one(c, d, applyFile, p, d.Blob.Sum(), d.Path, nil, d.New) },
		)
	})
}

func packageFileRemoved(c *conn, at int64, d registry.PackageFileRemoved) error {
	return onPackage(c, d, d.Package, func(p int64) error {
		return steps(
			func() error { return one(c, d, applyOpenChanged, p, at) },
			func() error { return one(c, d, uncountFile, p, d.Path, at) },
			func() error { return one(c, d, applyFileRemoved, p, d.Path) },
		)
	})
}

func packageSealed(c *conn, at int64, d registry.PackageSealed) error {
	return onPackage(c, d, d.Package, func(p int64) error {
		return steps(
			func() error { return one(c, d, applyPackageSealed, p, d.Manifest.Sum(), at, d.Revision) },
			func() error { return one(c, d, countBlob, d.Manifest.Sum()) },
		)
	})
}

// packageDeleted leaves the files, labels and tags to the foreign keys.
func packageDeleted(c *conn, at int64, d registry.PackageDeleted) error {
	return onPackage(c, d, d.Package, func(p int64) error {
		return steps(
			func() error { return some(c, d, uncountNamed, p, at) },
			func() error { return one(c, d, applyPackageDeleted, p) },
		)
	})
}

func tagSet(c *conn, at int64, d registry.TagSet) error {
	return onPackage(c, d, manifestKey(d.Repository, d.Manifest), func(p int64) error {
		return one(c, d, applyTagSet, d.Repository, d.Tag, p, sum(d.Named), at, d.New)
	})
}

// manifestKey is the key of a repository's manifest.
func manifestKey(repository string, manifest digest.Digest) registry.PackageKey {
	producer, _, _ := strings.Cut(repository, "/")
	return registry.PackageKey{Producer: producer, Name: repository, Version: manifest.String()}
}

// onPackage calls do with the row of a package that must exist.
func onPackage(c *conn, d registry.Data, k registry.PackageKey, do func(position int64) error) error {
	position := int64(0)
	err := c.query(context.Background(), selectPosition, func(row []driver.Value) error {
		position = row[0].(int64)
		return nil
	}, k.Producer, k.Name, k.Version)
	if err == nil && position == 0 {
		err = fmt.Errorf("%w: no such package", registry.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Type(), d.Subject(), err)
	}
	return do(position)
}

// some runs a statement that may change any number of rows.
func some(c *conn, d registry.Data, sql string, args ...driver.Value) error {
	if _, err := c.exec(context.Background(), sql, args...); err != nil {
		return fmt.Errorf("%s %s: %w", d.Type(), d.Subject(), err)
	}
	return nil
}

func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// optional is a text that may be absent: NULL then.
func optional(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

// texts is a JSON object of texts, NULL where there is none.
func texts(m map[string]string) driver.Value {
	if len(m) == 0 {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(b)
}
