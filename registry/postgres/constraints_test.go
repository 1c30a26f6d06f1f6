package postgres_test

import (
	"errors"
	"testing"

	"artifactstore/registry/postgres/pgtest"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestSchemaRefuses violates each constraint behind the program's back.
func TestSchemaRefuses(t *testing.T) {
	address := pgtest.New(t)
	r := open(t, address)
	if _, err := r.Append(t.Context(), put(identity(1, 1))...); err != nil {
		t.Fatal(err)
	}
	r.Close()
	conn := connect(t, address)
	const a, b, blob = `sha256('a')`, `sha256('b')`, `(SELECT sha256 FROM blobs)`
	for name, c := range map[string]struct{ constraint, sql string }{
		"position zero":            {"events_position_check", `INSERT INTO events VALUES (0, now(), 'v1.x', 'ci', '')`},
		"position twice":           {"events_pkey", `INSERT INTO events VALUES (1, now(), 'v1.x', 'ci', '')`},
		"type of no version":       {"events_type_check", `INSERT INTO events VALUES (9, now(), 'x', 'ci', '')`},
		"event of nobody":          {"events_actor_check", `INSERT INTO events VALUES (9, now(), 'v1.x', '', '')`},
		"second head":              {"head_pkey", `INSERT INTO head (position, recorded_at) VALUES (1, now())`},
		"head that is not the one": {"head_one_check", `INSERT INTO head VALUES (false, 1, now())`},
		"head below zero":          {"head_position_check", `UPDATE head SET position = -1`},
		"short sha256":             {"blobs_sha256_check", `INSERT INTO blobs VALUES ('a', ` + b + `, NULL, 1, now())`},
		"short blake3":             {"blobs_blake3_check", `INSERT INTO blobs VALUES (` + a + `, 'b', NULL, 1, now())`},
		"short sha512":             {"blobs_sha512_check", `INSERT INTO blobs VALUES (` + a + `, ` + b + `, 'c', 1, now())`},
		"size below zero":          {"blobs_size_check", `INSERT INTO blobs VALUES (` + a + `, ` + b + `, NULL, -1, now())`},
		"blob twice":               {"blobs_pkey", `INSERT INTO blobs SELECT sha256, ` + b + `, NULL, 1, now() FROM blobs`},
		"blake3 of another":        {"blobs_blake3_key", `INSERT INTO blobs SELECT ` + a + `, blake3, NULL, 1, now() FROM blobs`},
		"sha512 of another":        {"blobs_sha512_key", `INSERT INTO blobs VALUES (` + a + `, ` + b + `, sha512('c'), 1, now()), (` + b + `, ` + a + `, sha512('c'), 1, now())`},
		"location of no blob":      {"locations_blob_fkey", `INSERT INTO locations VALUES (` + a + `, 'local', 'stored', NULL, now(), 1)`},
		"location twice":           {"locations_pkey", `INSERT INTO locations VALUES (` + blob + `, 'local', 'stored', NULL, now(), 1)`},
		"location nowhere":         {"locations_backend_id_check", `INSERT INTO locations VALUES (` + blob + `, '', 'stored', NULL, now(), 1)`},
		"unknown state":            {"locations_state_check", `INSERT INTO locations VALUES (` + blob + `, 'far', 'lost', NULL, now(), 1)`},
		"unknown reason":           {"locations_reason_check", `INSERT INTO locations VALUES (` + blob + `, 'far', 'failed', 'because', now(), 1)`},
		"failed without a reason":  {"locations_check", `INSERT INTO locations VALUES (` + blob + `, 'far', 'failed', NULL, now(), 1)`},
		"stored with a reason":     {"locations_check", `INSERT INTO locations VALUES (` + blob + `, 'far', 'stored', 'missing', now(), 1)`},
		"location at position 0":   {"locations_position_check", `INSERT INTO locations VALUES (` + blob + `, 'far', 'stored', NULL, now(), 0)`},
		"blob with a location":     {"locations_blob_fkey", `DELETE FROM leases; DELETE FROM blobs`},
		"blob with a lease":        {"leases_blob_fkey", `DELETE FROM locations; DELETE FROM blobs`},
		"lease on no blob":         {"leases_blob_fkey", `INSERT INTO leases VALUES (` + a + `, '', 'ci', 'ci', 'standard', now())`},
		"lease twice":              {"leases_pkey", `INSERT INTO leases SELECT * FROM leases`},
		"lease of nobody":          {"leases_check", `UPDATE leases SET actor = ''`},
		"lease of two":             {"leases_check", `UPDATE leases SET repository = 'r'`},
		"lease of no producer":     {"leases_producer_check", `UPDATE leases SET producer = ''`},
		"lease of no class":        {"leases_retention_class_check", `UPDATE leases SET retention_class = ''`},
		"lease beyond for ever":    {"leases_until_check", `UPDATE leases SET until = '9999-12-31 00:00:01+00'`},
		"second totals":            {"totals_pkey", `INSERT INTO totals (blobs, blob_bytes) VALUES (1, 1)`},
		"fewer blobs than none":    {"totals_blobs_check", `UPDATE totals SET blobs = -1`},
		"fewer bytes than none":    {"totals_blob_bytes_check", `UPDATE totals SET blob_bytes = -1`},
		"fewer locations":          {"location_totals_locations_check", `UPDATE location_totals SET locations = -1`},
		"total of unknown state":   {"location_totals_state_check", `UPDATE location_totals SET state = 'lost'`},
		"upload without an id":     {"uploads_id_check", `INSERT INTO uploads VALUES ('', '', '', '', 0, NULL, NULL, NULL, 1, now())`},
		"upload before its start":  {"uploads_offset_check", `INSERT INTO uploads VALUES ('x', '', '', '', -1, NULL, NULL, NULL, 1, now())`},
		"upload without a version": {"uploads_version_check", `INSERT INTO uploads VALUES ('x', '', '', '', 0, NULL, NULL, NULL, 0, now())`},
		"upload of a short blob":   {"uploads_finished_check", `INSERT INTO uploads VALUES ('x', '', '', '', 0, NULL, NULL, 'f', 1, now())`},
		"fewer uploads than none":  {"upload_totals_uploads_check", `UPDATE upload_totals SET uploads = -1`},
		"seventeenth shard":        {"upload_totals_shard_check", `INSERT INTO upload_totals VALUES (16, 0)`},
	} {
		_, err := conn.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.ConstraintName != c.constraint {
			t.Errorf("%s: %v, want a violation of %s", name, err, c.constraint)
		}
	}
}
