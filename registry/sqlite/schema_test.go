package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"artifactstore/registry"
)

// TestSchemaRefuses breaks each constraint from outside, as a program without
// this package's manners would.
func TestSchemaRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	mustAppend(t, r, put(1)...)
	mustAppend(t, r, push("team/app", 1)...)   // at 4, its tag at 5
	mustAppend(t, r, publish("1.0", 1)...)     // at 6, sealed at 10
	mustAppend(t, r, publish("2.0", 1)[:2]...) // at 11, open
	mustAppend(t, r, registry.Event{Actor: "ci", Data: registry.PackageHeld{Package: manifestKey("team/app", blob(1).SHA256), Hold: "audit"}},
		registry.Event{Actor: "ci", Data: registry.LocationRemoving{Blob: blob(1).SHA256, BackendID: "far", Cause: registry.Orphan}})
	if _, _, err := r.Claim(t.Context(), "collect", "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, r, registry.Event{Actor: "ann", Data: registry.TokenCreated{ID: "t", Principal: "ci", SHA256: blob(1).SHA256, Grants: []string{"pull:*"}}})
	if err := r.AddSigningKey(t.Context(), registry.SigningKey{ID: "k", Secret: []byte("s")}); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateUpload(t.Context(), registry.Upload{ID: "u"}); err != nil {
		t.Fatal(err)
	}
	const (
		checked = sqlite3.SQLITE_CONSTRAINT_CHECK
		foreign = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
		notNull = sqlite3.SQLITE_CONSTRAINT_NOTNULL
		primary = sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
		trigger = sqlite3.SQLITE_CONSTRAINT_TRIGGER
		unique  = sqlite3.SQLITE_CONSTRAINT_UNIQUE
		typ     = sqlite3.SQLITE_CONSTRAINT_DATATYPE
	)
	for _, c := range []struct {
		name string
		code int
		sql  string
	}{
		{"a second head", checked, "INSERT INTO head VALUES (2, 0, 0)"},
		{"the same head twice", primary, "INSERT INTO head VALUES (1, 0, 0)"},
		{"a negative head", checked, "UPDATE head SET position = -1"},
		{"a gap", trigger, "INSERT INTO events VALUES (17, 1 << 60, 't', 'a', 's', x'a0')"},
		{"a position again", trigger, "INSERT INTO events VALUES (3, 1 << 60, 't', 'a', 's', x'a0')"},
		{"an earlier time", trigger, "INSERT INTO events VALUES (16, 1, 't', 'a', 's', x'a0')"},
		{"an event without type", checked, "INSERT INTO events VALUES (16, 1 << 60, '', 'a', 's', x'a0')"},
		{"an event without actor", checked, "INSERT INTO events VALUES (16, 1 << 60, 't', '', 's', x'a0')"},
		{"an event without subject", checked, "INSERT INTO events VALUES (16, 1 << 60, 't', 'a', '', x'a0')"},
		{"an event without data", checked, "INSERT INTO events VALUES (16, 1 << 60, 't', 'a', 's', x'')"},
		{"data that is text", typ, "INSERT INTO events VALUES (16, 1 << 60, 't', 'a', 's', 'text')"},
		{"a changed event", trigger, "UPDATE events SET actor = 'b' WHERE position = 1"},
		{"a removed event", trigger, "DELETE FROM events WHERE position = 3"},
		{"a blob again", unique, "INSERT INTO blobs SELECT 9, sha256, randomblob(32), NULL, 1, 1, 0, NULL FROM blobs"},
		{"a BLAKE3 again", unique, "INSERT INTO blobs SELECT 9, randomblob(32), blake3, NULL, 1, 1, 0, NULL FROM blobs"},
		{"a SHA-512 twice", unique, "INSERT INTO blobs VALUES (8, randomblob(32), randomblob(32), zeroblob(64), 1, 1, 0, NULL), (9, randomblob(32), randomblob(32), zeroblob(64), 1, 1, 0, NULL)"},
		{"a short SHA-256", checked, "INSERT INTO blobs VALUES (9, x'00', randomblob(32), NULL, 1, 1, 0, NULL)"},
		{"a short BLAKE3", checked, "INSERT INTO blobs VALUES (9, randomblob(32), x'00', NULL, 1, 1, 0, NULL)"},
		{"a short SHA-512", checked, "INSERT INTO blobs VALUES (9, randomblob(32), randomblob(32), x'00', 1, 1, 0, NULL)"},
		{"a negative size", checked, "INSERT INTO blobs VALUES (9, randomblob(32), randomblob(32), NULL, -1, 1, 0, NULL)"},
		{"a blob that others need", foreign, "DELETE FROM blobs"},
		{"a location of no blob", foreign, "INSERT INTO locations VALUES (9, 'b', 'stored', NULL, NULL, 1, 1, NULL)"},
		{"a location of NULL", notNull, "INSERT INTO locations VALUES (NULL, 'b', 'stored', NULL, NULL, 1, 1, NULL)"},
		{"a location again", primary, "INSERT INTO locations VALUES (1, 'local', 'stored', NULL, NULL, 1, 1, NULL)"},
		{"an unknown state", checked, "UPDATE locations SET state = 'lost'"},
		{"failed without reason", checked, "UPDATE locations SET state = 'failed', failed = zeroblob(32)"},
		{"failed without digest", checked, "UPDATE locations SET state = 'failed', reason = 'missing'"},
		{"an unknown reason", checked, "UPDATE locations SET state = 'failed', reason = 'stolen', failed = zeroblob(32)"},
		{"stored with a reason", checked, "UPDATE locations SET reason = 'missing'"},
		{"a lease on no blob", foreign, "INSERT INTO leases VALUES (9, '', 'a', 1, 'p', 'c')"},
		{"a lease again", primary, "INSERT INTO leases VALUES (1, '', 'ci', 1, 'p', 'c')"},
		{"a lease of nobody", checked, "INSERT INTO leases VALUES (1, '', '', 1, 'p', 'c')"},
		{"a lease of two", checked, "INSERT INTO leases VALUES (1, 'r', 'a', 1, 'p', 'c')"},
		{"references below nought", checked, "UPDATE blobs SET refs = -1"},
		{"a package again", unique, "INSERT INTO packages SELECT 99, producer, name, version, format, state, retention_class, manifest, media_type, artifact_type, subject, named, annotations, revision, created_at, changed_at FROM packages WHERE position = 4"},
		{"a package without producer", checked, "UPDATE packages SET producer = '' WHERE position = 6"},
		{"a package without name", checked, "UPDATE packages SET name = '' WHERE position = 6"},
		{"a package without version", checked, "UPDATE packages SET version = '' WHERE position = 6"},
		{"a package without class", checked, "UPDATE packages SET retention_class = ''"},
		{"a package of no blob", foreign, "UPDATE packages SET manifest = 99 WHERE position = 4"},
		{"an unknown format", checked, "UPDATE packages SET format = 'tar' WHERE position = 6"},
		{"an unknown state of a package", checked, "UPDATE packages SET state = 'lost' WHERE position = 6"},
		{"sealed without manifest", checked, "UPDATE packages SET manifest = NULL WHERE position = 6"},
		{"open with a manifest", checked, "UPDATE packages SET state = 'open' WHERE position = 6"},
		{"an open manifest", checked, "UPDATE packages SET state = 'open', manifest = NULL WHERE position = 4"},
		{"a manifest without media type", checked, "UPDATE packages SET media_type = NULL WHERE position = 4"},
		{"a manifest of another's repository", checked, "UPDATE packages SET producer = 'eve' WHERE position = 4"},
		{"a manifest without a digest as version", checked, "UPDATE packages SET version = '1.0' WHERE position = 4"},
		{"files with a digest as version", checked, "UPDATE packages SET version = 'sha256:00' WHERE position = 6"},
		{"files with a media type", checked, "UPDATE packages SET media_type = 't' WHERE position = 6"},
		{"files with an artifact type", checked, "UPDATE packages SET artifact_type = 't' WHERE position = 6"},
		{"files with a subject", checked, "UPDATE packages SET subject = 's' WHERE position = 6"},
		{"files with another digest", checked, "UPDATE packages SET named = zeroblob(64) WHERE position = 6"},
		{"files with annotations", checked, "UPDATE packages SET annotations = '{}' WHERE position = 6"},
		{"an empty subject", checked, "UPDATE packages SET subject = '' WHERE position = 4"},
		{"an empty artifact type", checked, "UPDATE packages SET artifact_type = '' WHERE position = 4"},
		{"a short digest that it was pushed by", checked, "UPDATE packages SET named = x'00' WHERE position = 4"},
		{"annotations that are a list", checked, "UPDATE packages SET annotations = '[]' WHERE position = 4"},
		{"a revision of nought", checked, "UPDATE packages SET revision = 0"},
		{"a change before the creation", checked, "UPDATE packages SET changed_at = created_at - 1"},
		{"a file of no package", foreign, "INSERT INTO package_files VALUES (99, 'p', 1, NULL)"},
		{"a file of no blob", foreign, "INSERT INTO package_files VALUES (11, 'p', 99, NULL)"},
		{"a file of NULL", notNull, "INSERT INTO package_files VALUES (11, 'p', NULL, NULL)"},
		{"a file again", primary, "INSERT INTO package_files VALUES (11, 'bin/1', 1, NULL)"},
		{"a file without path", checked, "UPDATE package_files SET path = ''"},
		{"a file of no repository", checked, "UPDATE package_files SET repository = ''"},
		{"a label of no package", foreign, "INSERT INTO package_labels VALUES ('k', 'v', 'p', 'n', 'v', 99)"},
		{"a label of two packages", primary, "UPDATE package_labels SET name = 'tool', version = '1.0', producer = 'ci'"},
		{"a label twice", unique, "INSERT INTO package_labels VALUES ('channel', 'beta', 'p', 'n', 'v', 11)"},
		{"a label without key", checked, "UPDATE package_labels SET key = ''"},
		{"a label with =", checked, "UPDATE package_labels SET key = 'a=b'"},
		{"a tag of no package", foreign, "UPDATE tags SET package = 99"},
		{"a tag again", primary, "INSERT INTO tags VALUES ('team/app', 'v00001', 4, NULL, 1)"},
		{"a tag without name", checked, "UPDATE tags SET tag = ''"},
		{"a tag without repository", checked, "UPDATE tags SET repository = ''"},
		{"a short digest that a tag was set by", checked, "UPDATE tags SET named = x'00'"},
		{"a repository without manifests", checked, "UPDATE repositories SET manifests = 0"},
		{"a repository again", primary, "INSERT INTO repositories VALUES ('team/app', 1)"},
		{"open packages below nought", checked, "UPDATE totals SET open_packages = -1"},
		{"sealed packages below nought", checked, "UPDATE totals SET sealed_packages = -1"},
		{"dropped before it was stored", checked, "UPDATE blobs SET dropped = stored_at - 1"},
		{"verified before it was recorded", checked, "UPDATE locations SET verified_at = recorded_at - 1"},
		{"a held package is deleted", foreign, "DELETE FROM packages WHERE position = 4"},
		{"a hold of no package", foreign, "INSERT INTO holds VALUES (99, 4, 'h', 'a', 1)"},
		{"a hold from no package", foreign, "INSERT INTO holds VALUES (4, 99, 'h', 'a', 1)"},
		{"a hold again", primary, "INSERT INTO holds SELECT * FROM holds"},
		{"a hold without name", checked, "UPDATE holds SET hold = ''"},
		{"a hold of nobody", checked, "UPDATE holds SET actor = ''"},
		{"a removal again", primary, "INSERT INTO removals SELECT * FROM removals"},
		{"a removal of a short digest", checked, "UPDATE removals SET sha256 = x'00'"},
		{"a removal from no backend", checked, "UPDATE removals SET backend_id = ''"},
		{"a removal without cause", checked, "UPDATE removals SET cause = 'whim'"},
		{"a removal at no position", checked, "UPDATE removals SET position = 0"},
		{"a removal half ended", checked, "UPDATE removals SET ended = 2"},
		{"a claim again", primary, "INSERT INTO claims SELECT * FROM claims"},
		{"a token of nought", checked, "UPDATE claims SET token = 0"},
		{"a token again", primary, "INSERT INTO tokens SELECT id, principal, randomblob(32), grants, created_by, 1, NULL, NULL FROM tokens"},
		{"a hash again", unique, "INSERT INTO tokens SELECT 'u', principal, sha256, grants, created_by, 1, NULL, NULL FROM tokens"},
		{"a short hash", checked, "UPDATE tokens SET sha256 = x'00'"},
		{"a token without id", checked, "UPDATE tokens SET id = ''"},
		{"a token of nobody", checked, "UPDATE tokens SET principal = ''"},
		{"a token by nobody", checked, "UPDATE tokens SET created_by = ''"},
		{"grants that are an object", checked, "UPDATE tokens SET grants = '{}'"},
		{"a token revoked before it was", checked, "UPDATE tokens SET revoked_at = created_at - 1"},
		{"a signing key again", primary, "INSERT INTO signing_keys SELECT * FROM signing_keys"},
		{"a signing key without id", checked, "UPDATE signing_keys SET id = ''"},
		{"a signing key without secret", checked, "UPDATE signing_keys SET secret = x''"},
		{"an upload again", primary, "INSERT INTO uploads SELECT * FROM uploads"},
		{"an upload without id", checked, "UPDATE uploads SET id = ''"},
		{"a short digest of a finished upload", checked, "UPDATE uploads SET finished = x'00'"},
		{"a negative offset", checked, "UPDATE uploads SET offset = -1"},
		{"a version of nought", checked, "UPDATE uploads SET version = 0"},
		{"a second row of totals", checked, "INSERT INTO totals VALUES (2, 0, 0, 0, 0, 0)"},
		{"a negative total", checked, "UPDATE totals SET blobs = -1"},
		{"a negative total of locations", checked, "UPDATE location_totals SET locations = -1"},
	} {
		err := script(t, path, c.sql)
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code() != c.code {
			t.Errorf("%s: %v, want code %d", c.name, err, c.code)
		}
	}
	if report := check(t, r); len(report.Problems) > 0 {
		t.Errorf("after all refusals: %q", report.Problems)
	}
}
