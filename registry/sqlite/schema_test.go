package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

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
		{"a gap", trigger, "INSERT INTO events VALUES (5, 1 << 60, 't', 'a', 's', x'a0')"},
		{"a position again", trigger, "INSERT INTO events VALUES (3, 1 << 60, 't', 'a', 's', x'a0')"},
		{"an earlier time", trigger, "INSERT INTO events VALUES (4, 1, 't', 'a', 's', x'a0')"},
		{"an event without type", checked, "INSERT INTO events VALUES (4, 1 << 60, '', 'a', 's', x'a0')"},
		{"an event without actor", checked, "INSERT INTO events VALUES (4, 1 << 60, 't', '', 's', x'a0')"},
		{"an event without subject", checked, "INSERT INTO events VALUES (4, 1 << 60, 't', 'a', '', x'a0')"},
		{"an event without data", checked, "INSERT INTO events VALUES (4, 1 << 60, 't', 'a', 's', x'')"},
		{"data that is text", typ, "INSERT INTO events VALUES (4, 1 << 60, 't', 'a', 's', 'text')"},
		{"a changed event", trigger, "UPDATE events SET actor = 'b' WHERE position = 1"},
		{"a removed event", trigger, "DELETE FROM events WHERE position = 3"},
		{"a blob again", unique, "INSERT INTO blobs SELECT 9, sha256, randomblob(32), NULL, 1, 1, 0 FROM blobs"},
		{"a BLAKE3 again", unique, "INSERT INTO blobs SELECT 9, randomblob(32), blake3, NULL, 1, 1, 0 FROM blobs"},
		{"a SHA-512 twice", unique, "INSERT INTO blobs VALUES (8, randomblob(32), randomblob(32), zeroblob(64), 1, 1, 0), (9, randomblob(32), randomblob(32), zeroblob(64), 1, 1, 0)"},
		{"a short SHA-256", checked, "INSERT INTO blobs VALUES (9, x'00', randomblob(32), NULL, 1, 1, 0)"},
		{"a short BLAKE3", checked, "INSERT INTO blobs VALUES (9, randomblob(32), x'00', NULL, 1, 1, 0)"},
		{"a short SHA-512", checked, "INSERT INTO blobs VALUES (9, randomblob(32), randomblob(32), x'00', 1, 1, 0)"},
		{"a negative size", checked, "INSERT INTO blobs VALUES (9, randomblob(32), randomblob(32), NULL, -1, 1, 0)"},
		{"a blob that others need", foreign, "DELETE FROM blobs"},
		{"a location of no blob", foreign, "INSERT INTO locations VALUES (9, 'b', 'stored', NULL, NULL, 1, 1)"},
		{"a location of NULL", notNull, "INSERT INTO locations VALUES (NULL, 'b', 'stored', NULL, NULL, 1, 1)"},
		{"a location again", primary, "INSERT INTO locations VALUES (1, 'local', 'stored', NULL, NULL, 1, 1)"},
		{"an unknown state", checked, "UPDATE locations SET state = 'lost'"},
		{"failed without reason", checked, "UPDATE locations SET state = 'failed', failed = zeroblob(32)"},
		{"failed without digest", checked, "UPDATE locations SET state = 'failed', reason = 'missing'"},
		{"an unknown reason", checked, "UPDATE locations SET state = 'failed', reason = 'stolen', failed = zeroblob(32)"},
		{"stored with a reason", checked, "UPDATE locations SET reason = 'missing'"},
		{"a lease on no blob", foreign, "INSERT INTO leases VALUES (9, '', 'a', 1, 'p', 'c')"},
		{"a lease again", primary, "INSERT INTO leases VALUES (1, '', 'ci', 1, 'p', 'c')"},
		{"a lease of nobody", checked, "INSERT INTO leases VALUES (1, '', '', 1, 'p', 'c')"},
		{"a lease of two", checked, "INSERT INTO leases VALUES (1, 'r', 'a', 1, 'p', 'c')"},
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
