package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// packageColumns are a package, joined with its manifest's blob.
const packageColumns = `p.producer, p.name, p.version, p.format, p.state, p.retention_class,
(SELECT json_group_object(key, value) FROM package_labels WHERE package = p.position),
b.sha256, p.media_type, p.artifact_type, p.subject, p.named, p.annotations, p.revision, p.created_at, p.changed_at`

const (
	selectPackage = `SELECT ` + packageColumns + ` FROM packages p LEFT JOIN blobs b ON b.position = p.manifest
WHERE p.producer = ?1 AND p.name = ?2 AND p.version = ?3`

	// The page is cut before the join, so that a file comes with all locations of its blob.
	selectFiles = `SELECT ` + blobColumns + `, f.path
FROM (SELECT path, blob FROM package_files
  WHERE package = (SELECT position FROM packages WHERE producer = ?1 AND name = ?2 AND version = ?3)
  AND path > ?4 ORDER BY path LIMIT ?5 + 0) f
CROSS JOIN blobs b ON b.position = f.blob LEFT JOIN locations l ON l.blob = b.position ORDER BY f.path, l.position`

	selectFile = `SELECT f.path, b.sha256 FROM package_files f JOIN blobs b ON b.position = f.blob
WHERE f.package = (SELECT position FROM packages WHERE producer = ?1 AND name = ?2 AND version = ?3) AND f.path = ?4`

	// A file first: few blobs are both, and many are files.
	selectUsedIn = `SELECT p.producer, p.name, p.version FROM packages p WHERE p.position = (
SELECT package FROM package_files WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?2) AND repository = ?1 LIMIT 1)
UNION ALL SELECT producer, name, version FROM packages
WHERE manifest = (SELECT position FROM blobs WHERE sha256 = ?2) AND name = ?1 AND format = 'oci' LIMIT 1`

	// visible is the condition that blob b is visible in repository ?1 at ?2.
	visible = `(EXISTS (SELECT 1 FROM leases WHERE blob = b.position AND repository = ?1 AND actor = '' AND until > ?2)
OR EXISTS (SELECT 1 FROM package_files WHERE blob = b.position AND repository = ?1)
OR EXISTS (SELECT 1 FROM packages WHERE manifest = b.position AND name = ?1 AND format = 'oci'))`

	selectBlobIn = `SELECT ` + blobColumns + ` FROM blobs b LEFT JOIN locations l ON l.blob = b.position
WHERE b.%s = ?3 AND ` + visible + ` ORDER BY l.position`
)

var selectBlobInBy = byDigest(selectBlobIn)

// byDigest are a query's forms for the algorithms, each of which has its column.
func byDigest(sql string) map[digest.Algorithm]string {
	forms := map[digest.Algorithm]string{}
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.BLAKE3, digest.SHA512} {
		forms[alg] = fmt.Sprintf(sql, alg)
	}
	return forms
}

// BlobIn implements registry.Packages.
func (r *Registry) BlobIn(ctx context.Context, repository string, d digest.Digest, now time.Time) (registry.Blob, error) {
	var found blobs
	err := r.find(ctx, selectBlobInBy[d.Algorithm()], found.add, repository, micros(now), d.Sum())
	if err != nil {
		return registry.Blob{}, fmt.Errorf("blob %s in %s: %w", d, repository, err)
	}
	return found[0], nil
}

// find runs a query that must find something; no query finds nothing.
func (r *Registry) find(ctx context.Context, sql string, each func(row []driver.Value) error, args ...driver.Value) error {
	found := false
	if sql == "" {
		return errAbsent
	}
	err := r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), sql, func(row []driver.Value) error {
			found = true
			return each(row)
		}, args...)
	})
	if err == nil && !found {
		err = errAbsent
	}
	return err
}

// Package implements registry.Packages.
func (r *Registry) Package(ctx context.Context, k registry.PackageKey) (p registry.Package, err error) {
	err = r.find(ctx, selectPackage, func(row []driver.Value) (err error) {
		p, err = packageOf(row)
		return err
	}, k.Producer, k.Name, k.Version)
	if err != nil {
		return registry.Package{}, fmt.Errorf("package %s: %w", k, err)
	}
	return p, nil
}

// Files implements registry.Packages.
func (r *Registry) Files(ctx context.Context, k registry.PackageKey, after string) iter.Seq2[registry.PackageFile, error] {
	files := list[registry.PackageFile]{
		sql:  selectFiles,
		args: []driver.Value{k.Producer, k.Name, k.Version},
		of: func(row []driver.Value) (registry.PackageFile, error) {
			f := registry.PackageFile{Path: row[besideBlob].(string), Blob: blobOf(row)}
			addLocation(&f.Blob, row)
			return f, nil
		},
		more: func(last *registry.PackageFile, row []driver.Value) bool {
			same := last.Path == row[besideBlob].(string)
			if same {
				addLocation(&last.Blob, row)
			}
			return same
		},
		key: func(f registry.PackageFile) []driver.Value { return []driver.Value{f.Path} },
	}
	return files.walk(ctx, r, []driver.Value{after}, func(err error) error { return fmt.Errorf("files of %s: %w", k, err) })
}

// File implements registry.Packages.
func (r *Registry) File(ctx context.Context, k registry.PackageKey, path string) (f registry.File, err error) {
	err = r.find(ctx, selectFile, func(row []driver.Value) error {
		f = fileOf(row)
		return nil
	}, k.Producer, k.Name, k.Version, path)
	if err != nil {
		return registry.File{}, fmt.Errorf("file %q of %s: %w", path, k, err)
	}
	return f, nil
}

func fileOf(row []driver.Value) registry.File {
	return registry.File{Path: row[0].(string), Blob: digestOf(digest.SHA256, row[1])}
}

// UsedIn implements registry.Packages.
func (r *Registry) UsedIn(ctx context.Context, repository string, blob digest.Digest) (k registry.PackageKey, err error) {
	err = r.find(ctx, selectUsedIn, func(row []driver.Value) error {
		k = keyOf(row)
		return nil
	}, repository, blob.Sum())
	if err != nil {
		return registry.PackageKey{}, fmt.Errorf("packages of %s with %s: %w", repository, blob, err)
	}
	return k, nil
}

func keyOf(row []driver.Value) registry.PackageKey {
	return registry.PackageKey{Producer: row[0].(string), Name: row[1].(string), Version: row[2].(string)}
}

// packageOf reads a row of packageColumns.
func packageOf(row []driver.Value) (registry.Package, error) {
	p := registry.Package{
		PackageKey:     keyOf(row),
		Format:         registry.Format(row[3].(string)),
		State:          registry.PackageState(row[4].(string)),
		RetentionClass: row[5].(string),
		Manifest:       digestOf(digest.SHA256, row[7]),
		Revision:       row[13].(int64),
		CreatedAt:      moment(row[14]),
		ChangedAt:      moment(row[15]),
	}
	var err error
	if p.Labels, err = textsOf(row[6]); err == nil && p.Format == registry.FormatOCI {
		p.OCI, err = ociOf(row[8:13])
	}
	if err != nil {
		return registry.Package{}, fmt.Errorf("package %s: %w", p.PackageKey, err)
	}
	return p, nil
}

func ociOf(row []driver.Value) (*registry.OCI, error) {
	annotations, err := textsOf(row[4])
	return &registry.OCI{
		MediaType: row[0].(string), ArtifactType: text(row[1]), Subject: text(row[2]),
		Named: namedOf(row[3]), Annotations: annotations,
	}, err
}

// namedOf is the digest that something was pushed by: its length says which.
func namedOf(v driver.Value) digest.Digest {
	if len(bytesOf(v)) == digest.SHA512.Size() {
		return digestOf(digest.SHA512, v)
	}
	return digestOf(digest.BLAKE3, v)
}

// textsOf reads a JSON object of texts: nil where it is NULL or empty.
func textsOf(v driver.Value) (m map[string]string, err error) {
	if s := text(v); s != "" && s != "{}" {
		err = json.Unmarshal([]byte(s), &m)
	}
	return m, err
}
