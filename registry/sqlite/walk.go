package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// A walk reads rows in the order of a key, a window at a time, and answers with
// those that pass a filter, until it has as many as it was asked for or has read
// a bounded number: its page may be short. Its query says of each window how many rows it
// was and where it ended, also where none passed.

// How many rows a walk reads at most: for a request that waits some milliseconds'
// worth, for a collection enough for a batch.
const (
	walkRows    = 1000
	collectRows = 10_000
)

// walk runs do for windows until do has the rest of what a walk wants, or the end is
// reached. do is told the window's size, and returns how many rows it had and how many
// are still wanted.
func walk(wanted, most int, do func(size int) (n, left int, err error)) (end bool, err error) {
	for read, size := 0, wanted; read < most; {
		size = min(size, most-read)
		n, left, err := do(size)
		if err != nil || left == 0 {
			return false, err
		}
		if n < size {
			return true, nil
		}
		read += n
		size, wanted = nextWindow(size, wanted-left, left), left
	}
	return false, nil
}

// nextWindow is the size of the window after one of which some rows passed: so large
// that it has the rest if a third less pass than before, and at most ten times as
// large as the last.
func nextWindow(size, passed, left int) int {
	if passed == 0 {
		return 10 * size
	}
	return min(10*size, left*size*3/(2*passed)+1)
}

// walkPackages is a window of a walk through packages, see walkOf: %[1]s is the table,
// with the columns %[2]s, %[3]s the range, %[4]s where what is asked is, in table %[5]s, and
// %[6]s what else must hold.
const walkPackages = `
WITH walked AS MATERIALIZED (
  SELECT %[2]s, producer, name, version FROM %[1]s WHERE %[3]s
  ORDER BY producer, name, version LIMIT ?9 + 0
), passed AS (
  SELECT %[5]s.position FROM %[4]s
  WHERE (?4 = '' OR %[5]s.name = ?4) AND (?5 = '' OR %[5]s.format = ?5) AND (?6 = '' OR %[5]s.state = ?6) AND (?7 = '' OR %[5]s.retention_class = ?7) %[6]s
  ORDER BY walked.producer, walked.name, walked.version LIMIT ?10 + 0
)
SELECT walk.n, last.producer, last.name, last.version, ` + packageColumns + `
FROM (SELECT count(*) AS n FROM walked) walk
LEFT JOIN (SELECT producer, name, version FROM walked ORDER BY producer DESC, name DESC, version DESC LIMIT 1) last ON true
LEFT JOIN passed ON true LEFT JOIN packages p ON p.position = passed.position LEFT JOIN blobs b ON b.position = p.manifest
ORDER BY p.producer, p.name, p.version`

// The ranges of a walk through packages, after the key ?1, ?2, ?3.
const (
	rangeAll      = `(producer, name, version) > (?1, ?2, ?3)`
	rangeProducer = `producer = ?1 AND (name, version) > (?2, ?3)`
	rangeName     = `producer = ?1 AND name = ?2 AND version > ?3`
	rangeLabel    = `key = ?11 AND value = ?12 AND `

	// hasLabels is asked where there is more than the label of the range: of a thousand
	// rows without labels to look for it is half the cost.
	hasLabels = `AND NOT EXISTS (SELECT 1 FROM json_each(?8) wanted WHERE NOT EXISTS (
    SELECT 1 FROM package_labels l WHERE l.package = p.position AND l.key = wanted.key AND l.value = wanted.value))`
)

// walkOf is the query of a window, of all packages or of those with a label. What is
// asked of a package is in the index packages_listed: of one that does not pass no row
// is read. Of those with a label it is looked up.
func walkOf(label bool, within, more string) string {
	if label {
		return fmt.Sprintf(walkPackages, "package_labels", "package AS position", rangeLabel+within, "walked CROSS JOIN packages p ON p.position = walked.position", "p", more)
	}
	return fmt.Sprintf(walkPackages, "packages", "position, format, state, retention_class", within, "walked", "walked", more)
}

// ListPackages implements registry.Retention.
func (r *Registry) ListPackages(ctx context.Context, f registry.PackageFilter, after registry.PackageKey, limit int) ([]registry.Package, registry.PackageKey, error) {
	keys := slices.Sorted(maps.Keys(f.Labels))
	within, after, some := rangeOf(f, after)
	if !some || limit <= 0 {
		return nil, registry.PackageKey{}, nil
	}
	args := []driver.Value{nil, nil, nil, f.Name, string(f.Format), string(f.State), f.RetentionClass, wanted(f.Labels), nil, nil}
	if len(keys) > 0 {
		args = append(args, keys[0], f.Labels[keys[0]])
	}
	labels := ""
	if len(keys) > 1 {
		labels = hasLabels
	}
	sql := walkOf(len(keys) > 0, within, labels)
	var page []registry.Package
	end, err := walk(limit, walkRows, func(size int) (n, left int, err error) {
		copy(args, []driver.Value{after.Producer, after.Name, after.Version})
		args[8], args[9] = int64(size), int64(limit-len(page))
		err = r.find(ctx, sql, func(row []driver.Value) (err error) {
			if n = int(row[0].(int64)); n > 0 {
				after = keyOf(row[1:])
			}
			if row[4] != nil {
				var p registry.Package
				p, err = packageOf(row[4:])
				page = append(page, p)
			}
			return err
		}, args...)
		return n, limit - len(page), err
	})
	switch {
	case err != nil:
		return nil, registry.PackageKey{}, fmt.Errorf("list packages: %w", err)
	case end:
		return page, registry.PackageKey{}, nil
	case len(page) == limit:
		after = page[limit-1].PackageKey
	}
	return page, after, nil
}

// rangeOf returns where a filter lets a walk go from a key on, and the key to begin
// after; some is false if nothing is left.
func rangeOf(f registry.PackageFilter, after registry.PackageKey) (within string, from registry.PackageKey, some bool) {
	if f.Producer == "" {
		return rangeAll, after, true
	}
	switch c := cmp.Compare(after.Producer, f.Producer); {
	case c > 0:
		return "", after, false
	case c < 0:
		after = registry.PackageKey{Producer: f.Producer}
	}
	if f.Name == "" {
		return rangeProducer, after, true
	}
	switch c := cmp.Compare(after.Name, f.Name); {
	case c > 0:
		return "", after, false
	case c < 0:
		after = registry.PackageKey{Producer: f.Producer, Name: f.Name}
	}
	return rangeName, after, true
}

// wanted is a JSON object of the labels that a package must have.
func wanted(labels map[string]string) string {
	b, err := json.Marshal(labels)
	if err != nil || labels == nil {
		return "{}"
	}
	return string(b)
}

// selectCollectable is a window of a walk through the blobs by their SHA-256.
const selectCollectable = `
WITH walked AS MATERIALIZED (
  SELECT position, sha256, refs, stored_at, dropped FROM blobs WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?3 + 0
), passed AS (
  SELECT b.position, ` + idle + ` AS since FROM walked b WHERE b.refs = 0 AND ` + idle + ` <= ?2 ORDER BY b.sha256 LIMIT ?4 + 0
)
SELECT ` + blobColumns + `, passed.since, walk.n, walk.last
FROM (SELECT count(*) AS n, max(sha256) AS last FROM walked) walk
LEFT JOIN passed ON true LEFT JOIN blobs b ON b.position = passed.position LEFT JOIN locations l ON l.blob = b.position
ORDER BY b.sha256, l.position`

// Collectable implements registry.Retention.
func (r *Registry) Collectable(ctx context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) ([]registry.Idle, digest.Digest, error) {
	if limit <= 0 {
		return nil, digest.Digest{}, nil
	}
	var found blobs
	var since []time.Time
	end, err := walk(limit, collectRows, func(size int) (n, left int, err error) {
		err = r.find(ctx, selectCollectable, func(row []driver.Value) error {
			if n = int(row[13].(int64)); n > 0 {
				after = digestOf(digest.SHA256, row[14])
			}
			if row[0] == nil {
				return nil
			}
			err := found.add(row)
			if len(since) < len(found) {
				since = append(since, moment(row[12]))
			}
			return err
		}, sumAfter(after), micros(t.Add(-grace)), int64(size), int64(limit-len(found)))
		return n, limit - len(found), err
	})
	if err != nil {
		return nil, digest.Digest{}, fmt.Errorf("collectable blobs: %w", err)
	}
	page := make([]registry.Idle, len(found))
	for i, b := range found {
		page[i] = registry.Idle{Blob: b, Since: since[i]}
	}
	switch {
	case end:
		after = digest.Digest{}
	case len(page) == limit:
		after = page[limit-1].SHA256
	}
	return page, after, nil
}

// sumAfter is the digest that a list goes on after: no digest at the start.
func sumAfter(d digest.Digest) []byte {
	if d.IsZero() {
		return []byte{}
	}
	return d.Sum()
}
