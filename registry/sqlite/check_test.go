package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artifactstore/registry"
)

// history fills a registry with blobs in every state.
func history(t *testing.T, r *Registry, blobs uint64) {
	t.Helper()
	for n := range blobs {
		mustAppend(t, r, put(n)...)
	}
	on := func(n uint64, d registry.Data) registry.Event { return registry.Event{Actor: "ops", Data: d} }
	for n := uint64(0); n < blobs; n += 3 {
		mustAppend(t, r, on(n, registry.LocationFailed{Blob: blob(n).SHA256, BackendID: "local", Reason: registry.Missing}))
	}
	for n := uint64(0); n < blobs; n += 6 {
		mustAppend(t, r, on(n, registry.LocationRepaired{Blob: blob(n).SHA256, BackendID: "local", Source: "push"}))
	}
	if err := r.CreateUpload(t.Context(), registry.Upload{ID: "open"}); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateUpload(t.Context(), registry.Upload{ID: "finished", Finished: blob(0).SHA256}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, r, on(0, registry.BlobLeased{Blob: blob(0).SHA256, Repository: "team/app", Producer: "team", RetentionClass: "standard", Until: registry.Forever}))
	mustAppend(t, r, push("team/app", 1)...)
	mustAppend(t, r, push("team/app", 2)...)
	mustAppend(t, r, push("web", 1)...)
	mustAppend(t, r, publish("1.0", 0, 1, 2)...)
	held := manifestKey("team/app", blob(1).SHA256)
	mustAppend(t, r,
		on(0, registry.PackageHeld{Package: held, Hold: "audit", Covers: []registry.PackageKey{manifestKey("team/app", blob(2).SHA256)}}),
		on(0, registry.BlobReleased{Blob: blob(5).SHA256}),
		on(5, registry.LocationRemoving{Blob: blob(5).SHA256, BackendID: "far", Cause: registry.Orphan}),
		on(7, registry.LocationRemoving{Blob: blob(7).SHA256, BackendID: "far", Cause: registry.Orphan}),
		on(7, registry.LocationRemoved{Blob: blob(7).SHA256, BackendID: "far"}))
	stored, err := r.Blob(t.Context(), blob(4).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, r, on(4, registry.LocationVerified{Blob: blob(4).SHA256, BackendID: "local", RecordedAt: stored.Locations[0].RecordedAt}))
	mustAppend(t, r,
		on(0, registry.TokenCreated{ID: "t1", Principal: "ci", SHA256: blob(1).SHA256, Grants: []string{"pull:*"}}),
		on(0, registry.TokenCreated{ID: "t2", Principal: "ci", SHA256: blob(2).SHA256, Grants: []string{"pull:*"}}),
		on(0, registry.TokenRevoked{ID: "t2"}))
	token, _, err := r.Claim(t.Context(), "collect", "a", time.Hour)
	if err == nil {
		err = r.SetState(t.Context(), "collect", token, []byte("here"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamage damages each thing that Check looks at, and mends it.
func TestDamage(t *testing.T) {
	const dropKeepers = "DROP TRIGGER events_never_change; DROP TRIGGER events_never_leave;"
	for _, c := range []struct {
		name, sql string
		want      string // in one of the problems
		inLog     bool   // a rebuild cannot mend it
	}{
		{name: "a blob is missing", sql: "PRAGMA foreign_keys = 0; DELETE FROM blobs WHERE position = 4", want: "blobs lacks a row"},
		{name: "a blob differs", sql: "UPDATE blobs SET size = size + 1 WHERE position = 4", want: "blobs has a row"},
		{name: "a blob too many", sql: "INSERT INTO blobs VALUES (1000, randomblob(32), randomblob(32), NULL, 1, 1, 0, NULL)", want: "blobs has a row"},
		{name: "digests differ", sql: "UPDATE blobs SET blake3 = zeroblob(32) WHERE position = 1; UPDATE blobs SET blake3 = randomblob(32) WHERE position = 4", want: "blobs lacks a row"},
		{name: "a location is missing", sql: "DELETE FROM locations WHERE blob = 4", want: "locations lacks a row"},
		{name: "a location is stored that failed", sql: "UPDATE locations SET state = 'stored', reason = NULL, failed = NULL", want: "locations has a row"},
		{name: "a lease is missing", sql: "DELETE FROM leases WHERE blob = 4", want: "leases lacks a row"},
		{name: "a lease ends later", sql: "UPDATE leases SET until = until + 1 WHERE blob = 4", want: "leases has a row"},
		{name: "a blob is referred to once more", sql: "UPDATE blobs SET refs = refs + 1 WHERE position = 4", want: "blobs has a row"},
		{name: "references are forgotten", sql: "UPDATE blobs SET refs = 0", want: "blobs lacks a row"},
		{name: "a package is missing", sql: "DELETE FROM packages WHERE name = 'web'", want: "packages lacks a row"},
		{name: "a package is missing below its files", sql: "PRAGMA foreign_keys = 0; DELETE FROM packages WHERE name = 'team/app'", want: "packages lacks a row"},
		{name: "a package too many", sql: "INSERT INTO packages VALUES (1000, 'p', 'n', 'v', 'files', 'open', 'c', NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, 1)", want: "packages has a row"},
		{name: "all packages differ", sql: "UPDATE packages SET retention_class = 'none'", want: "packages has a row"},
		{name: "a package is open that is sealed", sql: "UPDATE packages SET state = 'open', manifest = NULL WHERE format = 'files'", want: "packages has a row"},
		{name: "a file is missing", sql: "DELETE FROM package_files WHERE path = 'bin/1'", want: "package_files lacks a row"},
		{name: "a file is another blob's", sql: "UPDATE package_files SET blob = 4", want: "package_files has a row"},
		{name: "a file is another repository's", sql: "UPDATE package_files SET repository = 'else'", want: "package_files has a row"},
		{name: "a label is missing", sql: "DELETE FROM package_labels WHERE name = 'web'", want: "package_labels lacks a row"},
		{name: "a tag is missing", sql: "DELETE FROM tags WHERE tag = 'v00001'", want: "tags lacks a row"},
		{name: "a tag names another manifest", sql: "UPDATE tags SET package = (SELECT min(position) FROM packages)", want: "tags has a row"},
		{name: "packages counted wrong", sql: "UPDATE totals SET open_packages = 3, sealed_packages = 0", want: "total sealed packages is kept as 0, counted it is 4"},
		{name: "a repository is missing", sql: "DELETE FROM repositories WHERE name = 'web'", want: "total manifests of web is kept as 0, counted it is 1"},
		{name: "a repository counts wrong", sql: "UPDATE repositories SET manifests = 9", want: "total manifests of team/app is kept as 9, counted it is 2"},
		{name: "a hold is missing", sql: "DELETE FROM holds WHERE package <> root", want: "holds lacks a row"},
		{name: "a hold too many", sql: "INSERT INTO holds SELECT package, package, 'more', actor, held_at FROM holds LIMIT 1", want: "holds has a row"},
		{name: "what is held differs", sql: "UPDATE packages SET revision = 9", want: "packages has a row"},
		{name: "a removal is missing", sql: "DELETE FROM removals", want: "removals lacks a row"},
		{name: "a removal began earlier", sql: "UPDATE removals SET position = 1", want: "removals has a row"},
		{name: "a removal has ended", sql: "UPDATE removals SET ended = 1", want: "removals has a row"},
		{name: "removals counted wrong", sql: "UPDATE location_totals SET locations = 5 WHERE state = 'removing'", want: "total locations removing on far is kept as 5, counted it is 1"},
		{name: "a location is verified later", sql: "UPDATE locations SET verified_at = verified_at + 1", want: "locations has a row"},
		{name: "a blob was never dropped", sql: "UPDATE blobs SET dropped = NULL", want: "blobs has a row"},
		{name: "a token is missing", sql: "DELETE FROM tokens WHERE id = 't1'", want: "tokens lacks a row"},
		{name: "a token is another's", sql: "UPDATE tokens SET principal = 'eve'", want: "tokens has a row"},
		{name: "a token may more", sql: "UPDATE tokens SET grants = '[\"*:*\"]'", want: "tokens has a row"},
		{name: "a revoked token lives again", sql: "UPDATE tokens SET revoked_at = NULL", want: "tokens lacks a row"},
		{name: "a token too many", sql: "INSERT INTO tokens SELECT 't9', principal, randomblob(32), grants, created_by, 1, NULL, NULL FROM tokens LIMIT 1", want: "tokens has a row"},
		{name: "a token has another id", sql: "UPDATE tokens SET id = 't9' WHERE id = 't1'", want: "that the log implies: id t1,"},
		{name: "all views are empty", sql: "DELETE FROM tokens; DELETE FROM holds; DELETE FROM packages; DELETE FROM leases; DELETE FROM locations; DELETE FROM blobs", want: "locations lacks a row"},
		{name: "a total is wrong", sql: "UPDATE totals SET blobs = 0, blob_bytes = 1, uploads = 7", want: "total blobs is kept as 0, counted it is 9"},
		{name: "uploads counted wrong", sql: "UPDATE totals SET uploads = 7", want: "total uploads is kept as 7, counted it is 1"},
		{name: "totals are missing", sql: "DELETE FROM totals", want: "total blobs is kept as 0, counted it is 9"},
		{name: "a total of locations is wrong", sql: "DELETE FROM location_totals", want: "total locations stored on local is kept as 0"},
		{name: "the head lags", sql: "UPDATE head SET position = position - 1", want: "the head says"},
		{name: "a gap", sql: dropKeepers + "DELETE FROM events WHERE position = 6", want: "a gap: event 7 comes after event 5", inLog: true},
		{name: "data is damaged", sql: dropKeepers + "UPDATE events SET data = CAST(data || x'00' AS BLOB) WHERE position = 7", want: "event 7", inLog: true},
		{name: "data is another form", sql: dropKeepers + "UPDATE events SET data = CAST(x'bf' || substr(data, 2) || x'ff' AS BLOB) WHERE position = 6", want: "event 6", inLog: true},
		{name: "a subject differs", sql: dropKeepers + "UPDATE events SET subject = 'x' WHERE position = 6", want: "event 6", inLog: true},
		{name: "a type is unknown", sql: dropKeepers + "UPDATE events SET type = 'v9.new' WHERE position = 6", want: "unknown type", inLog: true},
		{name: "a time goes back", sql: dropKeepers + "UPDATE events SET time = 1 WHERE position = 6", want: "event 6: its time is before", inLog: true},
		{name: "an actor is missing", sql: dropKeepers + "PRAGMA ignore_check_constraints = 1; UPDATE events SET actor = '' WHERE position = 6", want: "event 6", inLog: true},
		{name: "an event comes too early", sql: dropKeepers + "UPDATE events SET (type, subject, data) = (SELECT type, subject, data FROM events WHERE position = 8) WHERE position = 1", want: "does not fit what came before", inLog: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "registry.db")
			r := open(t, path)
			history(t, r, 9)
			if report := check(t, r); len(report.Problems) > 0 || report.Blobs != 9 {
				t.Fatalf("before: %+v", report)
			}
			if err := script(t, path, c.sql); err != nil {
				t.Fatal(err)
			}
			found := check(t, r)
			if !strings.Contains(strings.Join(found.Problems, "\n"), c.want) {
				t.Errorf("check found %q, not %q", found.Problems, c.want)
			}
			rebuilt, err := r.Rebuild(t.Context(), nil)
			if err != nil {
				t.Fatalf("rebuild: %v", err)
			}
			if !strings.Contains(strings.Join(rebuilt.Problems, "\n"), c.want) {
				t.Errorf("rebuild found %q, not %q", rebuilt.Problems, c.want)
			}
			after := check(t, r)
			for _, p := range after.Problems {
				if !c.inLog || !strings.Contains(p, "event") && !strings.Contains(p, "CHECK") {
					t.Errorf("after the rebuild: %s", p)
				}
			}
			mustAppend(t, r, put(100)...)
			if state, err := r.State(t.Context(), "collect"); err != nil || string(state) != "here" {
				t.Errorf("the state of a work, which is no view: %q, %v", state, err)
			}
		})
	}
}

// TestCheckOfALongLog: more events than a page, with others writing meanwhile,
// and progress that reaches the end.
func TestCheckOfALongLog(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	var events []registry.Event
	for n := range uint64(2 * page) {
		events = append(events, put(n)...)
	}
	mustAppend(t, r, events...)
	next := uint64(2 * page)
	var steps []string
	progress := func(position, last uint64) {
		steps = append(steps, fmt.Sprintf("%d/%d", position, last))
		if next < 2*page+3 { // what comes while the log is read is checked too
			mustAppend(t, r, put(next)...)
			next++
		}
	}
	report, err := r.Check(t.Context(), progress)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("check: %+v, %v", report, err)
	}
	if report.Position != 3*next || report.Blobs != int64(next) {
		t.Errorf("the report covers %d events and %d blobs, not %d and %d", report.Position, report.Blobs, 3*next, next)
	}
	if end := fmt.Sprintf("%d/%d", 3*next, 3*next); len(steps) < 6 || steps[len(steps)-1] != end {
		t.Errorf("progress %v does not reach %s", steps, end)
	}
	rebuilt, err := r.Rebuild(t.Context(), nil)
	if err != nil || len(rebuilt.Problems) > 0 || rebuilt.Blobs != int64(next) {
		t.Errorf("rebuild: %+v, %v", rebuilt, err)
	}
}
