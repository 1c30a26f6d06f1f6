package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/registry"
	"artifactstore/registry/postgres/pgtest"
)

// damaged returns a registry of some blobs, on which statements have been run
// behind its back.
func damaged(t *testing.T, sql string) registry.Registry {
	t.Helper()
	address := pgtest.New(t)
	r := open(t, address)
	t.Cleanup(func() { r.Close() })
	for n := range 5 {
		if _, err := r.Append(t.Context(), put(identity(1, n))...); err != nil {
			t.Fatal(err)
		}
	}
	manifest := identity(1, 2).SHA256
	say := func(d registry.Data) registry.Event { return registry.Event{Actor: "ci", Data: d} }
	if _, err := r.Append(t.Context(), say(registry.PackageCreated{
		Package: registry.PackageKey{Producer: "team", Name: repository, Version: manifest.String()}, Format: registry.FormatOCI,
		RetentionClass: "standard", Manifest: manifest, Files: []registry.File{{Path: "layer", Blob: identity(1, 3).SHA256}},
		OCI:    &registry.OCI{MediaType: "application/json", Annotations: map[string]string{"a": "\x00"}},
		Labels: map[string]string{"os": "linux"},
	}), say(registry.TagSet{Repository: repository, Tag: "v1", Manifest: manifest})); err != nil {
		t.Fatal(err)
	}
	keep(t, r, registry.PackageKey{Producer: "team", Name: repository, Version: manifest.String()}, manifest)
	for _, u := range []registry.Upload{{ID: "open"}, {ID: "finished", Finished: identity(1, 1).SHA256}} {
		if err := r.CreateUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	run(t, connect(t, address), sql)
	return r
}

// keep appends an event of each kind that keeps things, or lets them go.
func keep(t *testing.T, r registry.Registry, k registry.PackageKey, blob digest.Digest) {
	t.Helper()
	b, err := r.Blob(t.Context(), blob)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []registry.Data{
		registry.PackageHeld{Package: k, Hold: "case"},
		registry.LocationRemoving{Blob: identity(2, 1).SHA256, BackendID: "far", Cause: registry.Orphan},
		registry.BlobReleased{Blob: blob},
		registry.LocationVerified{Blob: blob, BackendID: "local", RecordedAt: b.Locations[0].RecordedAt},
		registry.TokenCreated{ID: "t1", Principal: "ci", SHA256: blob, Grants: []string{"pull:*"}},
		registry.TokenCreated{ID: "t2", Principal: "ci", SHA256: identity(1, 1).SHA256, Grants: []string{"pull:*"}},
		registry.TokenRevoked{ID: "t2"},
	} {
		if _, err := r.Append(t.Context(), registry.Event{Actor: "ci", Data: d}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedViews: what no longer follows from the log is found by Check and
// mended by Rebuild.
func TestDamagedViews(t *testing.T) {
	const first = `(SELECT sha256 FROM blobs ORDER BY sha256 LIMIT 1)`
	for name, c := range map[string]struct{ sql, says string }{
		"blob gone":         {`ALTER TABLE locations DISABLE TRIGGER ALL; ALTER TABLE leases DISABLE TRIGGER ALL; ALTER TABLE blobs DISABLE TRIGGER ALL; ALTER TABLE packages DISABLE TRIGGER ALL; ALTER TABLE package_files DISABLE TRIGGER ALL; DELETE FROM blobs WHERE sha256 = ` + first + `; ALTER TABLE locations ENABLE TRIGGER ALL; ALTER TABLE leases ENABLE TRIGGER ALL; ALTER TABLE blobs ENABLE TRIGGER ALL; ALTER TABLE packages ENABLE TRIGGER ALL; ALTER TABLE package_files ENABLE TRIGGER ALL`, "is missing"},
		"blob added":        {`INSERT INTO blobs VALUES (sha256('a'), sha256('b'), NULL, 1, now())`, "does not follow from the log"},
		"blob changed":      {`UPDATE blobs SET size = size + 1 WHERE sha256 = ` + first, "differs from the replay"},
		"digests swapped":   {`UPDATE blobs SET blake3 = sha256('x') WHERE sha256 = ` + first, "differs from the replay"},
		"location failed":   {`UPDATE locations SET state = 'failed', reason = 'missing' WHERE blob = ` + first, "the location of sha256:"},
		"location gone":     {`DELETE FROM locations WHERE blob = ` + first, "the location of sha256:"},
		"lease gone":        {`DELETE FROM leases WHERE blob = ` + first, "the lease of ci on sha256:"},
		"lease longer":      {`UPDATE leases SET until = '9000-01-01'`, "the lease of ci on sha256:"},
		"total of blobs":    {`UPDATE totals SET blobs = 7`, "the total of blobs"},
		"total of bytes":    {`UPDATE totals SET blob_bytes = 7`, "the total of blobs"},
		"locations' total":  {`UPDATE location_totals SET locations = 7`, "the total of locations stored on local"},
		"package changed":   {`UPDATE packages SET retention_class = 'other'`, "package team/team/app/sha256:"},
		"package gone":      {`DELETE FROM holds; DELETE FROM packages`, "tag team/app:v1 is missing"},
		"package added":     {`INSERT INTO packages SELECT 99, 'a', 'b', 'c', 'files', 'open', 'standard', '{"x": "y"}', NULL, NULL, NULL, NULL, NULL, NULL, 1, now(), now()`, "package a/b/c does not follow"},
		"file gone":         {`DELETE FROM package_files`, "file layer of the package"},
		"file swapped":      {`UPDATE package_files SET blob = (SELECT sha256 FROM blobs ORDER BY refs LIMIT 1)`, "file layer of the package"},
		"tag moved":         {`UPDATE tags SET tag = 'v2'`, "tag team/app:v2 does not follow"},
		"references":        {`UPDATE blobs SET refs = refs + 1`, "differs from the replay"},
		"packages' total":   {`UPDATE package_totals SET packages = 7`, "the total of sealed packages"},
		"label gone":        {`DELETE FROM package_labels`, "label os of package team/team/app/sha256:"},
		"label changed":     {`UPDATE package_labels SET value = 'mac'`, "label os of package team/team/app/sha256:"},
		"hold gone":         {`DELETE FROM holds`, "hold case on the package made at 16 of that made at 16 is missing"},
		"hold of another":   {`UPDATE holds SET actor = 'eve'`, "hold case on the package made at 16 of that made at 16 differs"},
		"removal gone":      {`DELETE FROM removals`, "the removal of sha256:"},
		"removal ended":     {`UPDATE removals SET ended = true`, "the removal of sha256:"},
		"token gone":        {`DELETE FROM tokens WHERE id = 't1'`, "token t1 is missing"},
		"token of another":  {`UPDATE tokens SET principal = 'eve' WHERE id = 't1'`, "token t1 differs"},
		"token may more":    {`UPDATE tokens SET grants = '{*:*}' WHERE id = 't1'`, "token t1 differs"},
		"token lives again": {`UPDATE tokens SET revoked_at = NULL`, "token t2 differs"},
		"token added":       {`INSERT INTO tokens SELECT 't9', principal, sha256('t9'), grants, created_by, created_at FROM tokens WHERE id = 't1'`, "token t9 does not follow"},
		"tokens swapped":    {`UPDATE tokens SET sha256 = sha256(sha256); UPDATE tokens SET id = CASE id WHEN 't1' THEN 't3' ELSE 't1' END`, "token t3 does not follow"},
		"removals' total":   {`UPDATE location_totals SET locations = 7 WHERE state = 'removing'`, "the total of locations removing on far"},
		"dropped later":     {`UPDATE blobs SET dropped = now() WHERE dropped IS NOT NULL`, "blob sha256:"},
		"never verified":    {`UPDATE locations SET verified_at = NULL`, "the location of sha256:"},
		"uploads' total":    {`UPDATE upload_totals SET uploads = uploads + 1 WHERE shard = 3`, "the total of upload sessions"},
		"everything thrown": {`TRUNCATE blobs, locations, leases, location_totals, packages, package_files, package_labels, holds, removals, tags, tokens; UPDATE totals SET blobs = 0`, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := damaged(t, c.sql)
			report, err := r.Check(t.Context(), nil)
			if err != nil || !strings.Contains(strings.Join(report.Problems, "\n"), c.says) {
				t.Errorf("Check: %q, %v, want %q", report.Problems, err, c.says)
			}
			rebuilt, err := r.Rebuild(t.Context(), nil)
			if err != nil || strings.Join(rebuilt.Problems, "\n") != strings.Join(report.Problems, "\n") || rebuilt.Blobs != 5 {
				t.Errorf("Rebuild: %+v, %v, want what Check said: %q", rebuilt, err, report.Problems)
			}
			if report, err = r.Check(t.Context(), nil); err != nil || len(report.Problems) > 0 {
				t.Errorf("Check after Rebuild: %q, %v", report.Problems, err)
			}
			if totals, err := r.Totals(t.Context()); err != nil || totals.Blobs != 5 || totals.Uploads != 1 {
				t.Errorf("Totals after Rebuild: %+v, %v", totals, err)
			}
		})
	}
}

// TestDamagedLog: damage of the log is found, and is no ground to rebuild upon.
func TestDamagedLog(t *testing.T) {
	for name, c := range map[string]struct{ sql, says string }{
		"record gone":      {`DELETE FROM events WHERE position = 5`, "the log has a gap: position 6 follows 4"},
		"end gone":         {`DELETE FROM events WHERE position = 24`, "the log ends at position 23, its head says 24"},
		"not CBOR":         {`UPDATE events SET data = 'x' WHERE position = 5`, "record 5: invalid record"},
		"trailing byte":    {`UPDATE events SET data = data || '\x00'::bytea WHERE position = 5`, "record 5: invalid record"},
		"unknown type":     {`UPDATE events SET type = 'v1.x' WHERE position = 5`, "record 5: invalid record"},
		"actor unprinted":  {`UPDATE events SET actor = E'\x01' WHERE position = 5`, "record 5: invalid record"},
		"time back":        {`UPDATE events SET recorded_at = '2001-01-01' WHERE position = 5`, "record 5 is earlier than the one before it"},
		"twice":            {`UPDATE events SET (type, data) = (SELECT type, data FROM events WHERE position = 1) WHERE position = 4`, "record 4 (v1.storage.blob_stored) does not fit what came before"},
		"in another order": {`UPDATE events SET position = 128 - position WHERE position BETWEEN 13 AND 15; UPDATE events SET position = position - 100 WHERE position > 100`, "does not fit what came before"},
	} {
		t.Run(name, func(t *testing.T) {
			r := damaged(t, c.sql)
			report, err := r.Check(t.Context(), nil)
			if err != nil || !strings.Contains(strings.Join(report.Problems, "\n"), c.says) {
				t.Errorf("Check: %q, %v, want %q", report.Problems, err, c.says)
			}
			before, err := r.Totals(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Rebuild(t.Context(), nil); !errors.Is(err, registry.ErrRecord) {
				t.Errorf("Rebuild of a damaged log: %v, want ErrRecord", err)
			}
			if after, err := r.Totals(t.Context()); err != nil || after.Blobs != before.Blobs {
				t.Errorf("Rebuild of a damaged log changed the views: %+v, %v", after, err)
			}
		})
	}
}
