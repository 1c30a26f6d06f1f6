package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"artifactstore/registry"
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
	k := registry.PackageKey{Producer: "ci", Name: "tool", Version: "1"}
	if _, err := r.Append(t.Context(), registry.Event{Actor: "ci", Data: registry.PackageCreated{Package: k, Format: registry.FormatFiles,
		RetentionClass: "standard", Files: []registry.File{{Path: "a", Blob: identity(1, 1).SHA256}}}}); err != nil {
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
		"blob with a location":     {"locations_blob_fkey", `DELETE FROM leases; DELETE FROM packages; DELETE FROM blobs`},
		"blob with a lease":        {"leases_blob_fkey", `DELETE FROM locations; DELETE FROM packages; DELETE FROM blobs`},
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
		"blob with a file":         {"package_files_blob_fkey", `DELETE FROM locations; DELETE FROM leases; DELETE FROM blobs`},
		"fewer names than none":    {"blobs_refs_check", `UPDATE blobs SET refs = -1`},
		"package twice":            {"packages_producer_name_version_key", aPackage(9, "tool', '1', 'files', 'open", "NULL, NULL")},
		"package at position 0":    {"packages_id_check", aPackage(0, "x', '1', 'files', 'open", "NULL, NULL")},
		"package of no version":    {"packages_version_check", aPackage(9, "x', '', 'files', 'open", "NULL, NULL")},
		"package of no state":      {"packages_state_check", aPackage(9, "x', '1', 'files', 'ajar", "NULL, NULL")},
		"package of no format":     {"packages_format_check", aPackage(9, "x', '1', 'zip', 'open", "NULL, NULL")},
		"open with a manifest":     {"packages_check1", aPackage(9, "x', '1', 'files', 'open", blob+", NULL")},
		"sealed without one":       {"packages_check1", aPackage(9, "x', '1', 'files', 'sealed", "NULL, NULL")},
		"sealed by no blob":        {"packages_manifest_fkey", aPackage(9, "x', '1', 'files', 'sealed", a+", NULL")},
		"manifest without a type":  {"packages_check2", aPackage(9, "ci/x', 'sha256:1', 'oci', 'sealed", blob+", NULL")},
		"manifest by a name":       {"packages_check5", aPackage(9, "ci/x', '1', 'oci', 'sealed", blob+", 'x'")},
		"manifest of another":      {"packages_check4", aPackage(9, "co/x', 'sha256:1', 'oci', 'sealed", blob+", 'x'")},
		"files with a subject":     {"packages_check3", `UPDATE packages SET subject = 's'`},
		"revision zero":            {"packages_revision_check", `UPDATE packages SET revision = 0`},
		"changed before it was":    {"packages_check", `UPDATE packages SET changed_at = created_at - interval '1s'`},
		"labels that are none":     {"packages_labels_check", `UPDATE packages SET labels = '[]'`},
		"file twice":               {"package_files_pkey", `INSERT INTO package_files SELECT * FROM package_files`},
		"file without a path":      {"package_files_path_check", `UPDATE package_files SET path = ''`},
		"file of no blob":          {"package_files_blob_fkey", `UPDATE package_files SET blob = ` + a},
		"file of no package":       {"package_files_package_fkey", `UPDATE package_files SET package = 99`},
		"tag of no manifest":       {"tags_package_fkey", `INSERT INTO tags VALUES ('ci/x', 'v1', 99, NULL, now())`},
		"tag of a short digest":    {"tags_named_check", `INSERT INTO tags SELECT 'ci/x', 'v1', id, 'n', now() FROM packages`},
		"tag twice":                {"tags_pkey", `INSERT INTO tags SELECT 'ci/x', 'v1', id, NULL, now() FROM packages, generate_series(1, 2)`},
		"fewer packages":           {"package_totals_packages_check", `UPDATE package_totals SET packages = -1`},
		"dropped before it was":    {"blobs_check", `UPDATE blobs SET dropped = stored_at - interval '1s'`},
		"verified before written":  {"locations_check1", `UPDATE locations SET verified_at = recorded_at - interval '1s'`},
		"label without a key":      {"package_labels_key_check", `INSERT INTO package_labels SELECT '', 'v', producer, name, version, id FROM packages`},
		"label with a =":           {"package_labels_key_check", `INSERT INTO package_labels SELECT 'a=b', 'v', producer, name, version, id FROM packages`},
		"label of no package":      {"package_labels_package_fkey", `INSERT INTO package_labels VALUES ('k', 'v', 'a', 'b', 'c', 99)`},
		"label of two values":      {"package_labels_package", `INSERT INTO package_labels SELECT 'k', v, producer, name, version, id FROM packages, unnest('{a,b}'::text[]) AS v`},
		"label twice":              {"package_labels_pkey", `INSERT INTO package_labels SELECT 'k', 'v', producer, name, version, id FROM packages, generate_series(1, 2)`},
		"held package":             {"holds_package_fkey", aHold + `DELETE FROM packages`},
		"hold on no package":       {"holds_package_fkey", `INSERT INTO holds SELECT 99, id, 'case', 'ci', now() FROM packages`},
		"hold of no package":       {"holds_root_fkey", `INSERT INTO holds SELECT id, 99, 'case', 'ci', now() FROM packages`},
		"hold twice":               {"holds_pkey", aHold + aHold},
		"hold without a name":      {"holds_hold_check", `INSERT INTO holds SELECT id, id, '', 'ci', now() FROM packages`},
		"hold of nobody":           {"holds_actor_check", `INSERT INTO holds SELECT id, id, 'case', '', now() FROM packages`},
		"removal of a short blob":  {"removals_sha256_check", `INSERT INTO removals VALUES ('a', 'local', 'orphan', now(), 1, false)`},
		"removal from nowhere":     {"removals_backend_id_check", `INSERT INTO removals VALUES (` + a + `, '', 'orphan', now(), 1, false)`},
		"removal without a cause":  {"removals_cause_check", `INSERT INTO removals VALUES (` + a + `, 'local', 'because', now(), 1, false)`},
		"removal at position 0":    {"removals_position_check", `INSERT INTO removals VALUES (` + a + `, 'local', 'orphan', now(), 0, false)`},
		"removal twice":            {"removals_pkey", `INSERT INTO removals SELECT ` + a + `, 'local', 'orphan', now(), 1, false FROM generate_series(1, 2)`},
		"claim twice":              {"claims_pkey", `INSERT INTO claims SELECT 'verify', 1, 'me' FROM generate_series(1, 2)`},
		"claim without a token":    {"claims_token_check", `INSERT INTO claims VALUES ('verify', 0, 'me')`},
		"token twice":              {"tokens_pkey", `INSERT INTO tokens SELECT 't', 'ci', sha256(int8send(n)), '{pull:*}', 'ci', now() FROM generate_series(1, 2) AS n`},
		"hash twice":               {"tokens_sha256_key", `INSERT INTO tokens SELECT n, 'ci', ` + a + `, '{pull:*}', 'ci', now() FROM generate_series(1, 2) AS n`},
		"token of a short hash":    {"tokens_sha256_check", `INSERT INTO tokens VALUES ('t', 'ci', 'a', '{pull:*}', 'ci', now())`},
		"token without an id":      {"tokens_id_check", `INSERT INTO tokens VALUES ('', 'ci', ` + a + `, '{pull:*}', 'ci', now())`},
		"token of nobody":          {"tokens_principal_check", `INSERT INTO tokens VALUES ('t', '', ` + a + `, '{pull:*}', 'ci', now())`},
		"token by nobody":          {"tokens_created_by_check", `INSERT INTO tokens VALUES ('t', 'ci', ` + a + `, '{pull:*}', '', now())`},
		"token for nothing":        {"tokens_grants_check", `INSERT INTO tokens VALUES ('t', 'ci', ` + a + `, '{}', 'ci', now())`},
		"revoked before it was":    {"tokens_check", `INSERT INTO tokens VALUES ('t', 'ci', ` + a + `, '{pull:*}', 'ci', now(), NULL, now() - interval '1s')`},
		"signing key twice":        {"signing_keys_pkey", `INSERT INTO signing_keys SELECT 'k', 's', now(), now() FROM generate_series(1, 2)`},
		"signing key, no id":       {"signing_keys_id_check", `INSERT INTO signing_keys VALUES ('', 's', now(), now())`},
		"signing key, no secret":   {"signing_keys_secret_check", `INSERT INTO signing_keys VALUES ('k', '', now(), now())`},
		"seventeenth shard":        {"upload_totals_shard_check", `INSERT INTO upload_totals VALUES (16, 0)`},
	} {
		_, err := conn.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.ConstraintName != c.constraint {
			t.Errorf("%s: %v, want a violation of %s", name, err, c.constraint)
		}
	}
}

// aHold puts the package under a hold.
const aHold = `INSERT INTO holds SELECT id, id, 'case', 'ci', now() FROM packages;`

// aPackage inserts a package of producer "ci": name, version, format and state,
// quoted in one another's place, then manifest and media type.
func aPackage(id int, parts, manifest string) string {
	return fmt.Sprintf(`INSERT INTO packages (id, producer, name, version, format, state, manifest, media_type, retention_class, revision, created_at, changed_at)
		VALUES (%d, 'ci', '%s', %s, 'standard', 1, now(), now())`, id, parts, manifest)
}
