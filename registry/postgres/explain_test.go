package postgres_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// TestEveryHotQueryUsesAnIndex asks the planner, as it is by default, for the plan of
// whatever a request may ask, at a million blobs.
func TestEveryHotQueryUsesAnIndex(t *testing.T) {
	blobs := 1_000_000
	if testing.Short() {
		blobs = 30_000
	}
	conn := connect(t, filled(t, blobs))
	sum, other := fill(4711).Sum(), fill(4712).Sum()
	sums, texts, ones, now := [][]byte{sum, other}, []string{"local", "ci"}, []int64{1, 1}, time.Now()
	times := []*time.Time{nil, nil}
	shownArgs := []any{"ci", now, "", "", 0, "", 0, 500}
	key := []any{"team", "team/app7", "sha256:7"}[:3:3]
	for _, c := range []struct {
		name  string
		sql   string
		args  []any
		index string
	}{
		{"blob by sha256", postgres.BlobBySHA256SQL, []any{sum}, "blobs_pkey locations_pkey leases_pkey"},
		{"blob by blake3", postgres.BlobByBLAKE3SQL, []any{sum}, "blobs_blake3_key locations_pkey leases_pkey"},
		{"blob by sha512", postgres.BlobBySHA512SQL, []any{append(sum, sum...)}, "blobs_sha512_key locations_pkey leases_pkey"},
		{"page of blobs", postgres.BlobsSQL, []any{sum, 1000}, "blobs_pkey locations_pkey leases_pkey"},
		{"failed", postgres.FailedSQL, []any{"local", 100}, "locations_failed"},
		{"page of the log", postgres.SinceSQL, []any{4711, 1000}, "events_pkey"},
		{"upload", postgres.UploadSQL, []any{"upload-7"}, "uploads_pkey"},
		{"save upload", postgres.SaveUploadSQL, []any{"upload-7", 1, "local", 0, sum, sum, nil, now}, "uploads_pkey"},
		{"delete upload", postgres.DeleteUploadSQL, []any{"upload-7", 1}, "uploads_pkey"},
		{"expired uploads", postgres.ExpiredUploadsSQL, []any{now, 100}, "uploads_expires_at"},
		{"stored", postgres.StoredSQL, []any{times, sums, sums, [][]byte{append(sum, sum...), nil}, ones}, "blobs_pkey"},
		{"failed location", postgres.LocationFailedSQL, []any{sums, texts, texts, times}, "locations_pkey"},
		{"repaired location", postgres.RepairedSQL, []any{times, sums, texts, ones}, "locations_failed"},
		{"leased", postgres.LeasedSQL, []any{sums, texts, texts, texts, texts, []time.Time{now, now}}, "locations_pkey leases_pkey"},
		{"blob in a repository", postgres.BlobInSQL, []any{sum, "team/app7", now}, "blobs_pkey package_files_blob leases_pkey packages_manifest"},
		{"package", postgres.PackageSQL, []any{"team", "team/app7", "sha256:7"}, "packages_producer_name_version_key"},
		{"files", postgres.FilesSQL, []any{"team", "team/app7", "sha256:7", "a", 50}, "packages_producer_name_version_key package_files_pkey blobs_pkey locations_pkey leases_pkey"},
		{"file", postgres.FileSQL, []any{"team", "team/app7", "sha256:7", "layer"}, "packages_producer_name_version_key package_files_pkey"},
		{"used in", postgres.UsedInSQL, []any{"team/app7", sum}, "package_files_blob packages_manifest"},
		{"manifest by tag", postgres.ManifestByTagSQL, []any{"team/app7", "v7"}, "tags_pkey packages_pkey blobs_pkey"},
		{"manifest by digest", postgres.ManifestSQL, []any{"team/app7", sum}, "blobs_pkey packages_manifest"},
		{"tags", postgres.TagsSQL, []any{"team/app7", "v1", 50}, "tags_pkey packages_pkey"},
		{"repositories", postgres.RepositoriesSQL, []any{"team/app7", 50}, "packages_repository"},
		{"has repository", postgres.HasRepositorySQL, []any{"team/app7", now}, "packages_repository leases_repository"},
		{"referrers", postgres.ReferrersSQL, []any{"team/app7", texts, "", "sha256:1", 50}, "packages_subject"},
		{"file added", postgres.FileAddedSQL, []any{"team", "x", "1", nil, "a", sum, true}, "packages_open package_files_pkey blobs_pkey"},
		{"file removed", postgres.FileRemovedSQL, []any{"team", "x", "1", nil, "a"}, "packages_open package_files_pkey blobs_pkey"},
		{"package sealed", postgres.PackageSealedSQL, []any{"team", "x", "1", nil, sum, 1}, "packages_open blobs_pkey"},
		{"package deleted", postgres.PackageDeletedSQL, []any{"team", "x", "1", nil}, "packages_producer_name_version_key package_files_pkey blobs_pkey"},
		{"tag set", postgres.TagSetSQL, []any{"team", "team/app7", "sha256:7", nil, "v7", nil, true}, "packages_producer_name_version_key"},
		{"tag removed", postgres.TagRemovedSQL, []any{"team/app7", "v7"}, "tags_pkey"},
		{"released", postgres.ReleasedSQL, []any{sums, texts, texts, times}, "leases_pkey blobs_pkey"},
		{"recorded", postgres.RecordedSQL, []any{nil, 2, ones, times, sums, texts, ones}, "removals_pkey"},
		{"verified", postgres.VerifiedSQL, []any{times, sums, texts, []time.Time{now, now}}, "locations_pkey"},
		{"package created", postgres.PackageCreatedSQL, []any{nil, 1, 1, nil, "team", "team/x", "sha256:x", "oci", "sealed", "standard",
			[]byte("{}"), sum, "application/json", "", "", nil, nil, texts, sums, "team/x"}, "locations_pkey blobs_pkey"},
		{"package held", postgres.PackageHeldSQL, append(key, nil, "case", "ci", texts, texts, texts), "packages_producer_name_version_key"},
		{"package released", postgres.PackageReleasedSQL, append(key, "case"), "packages_producer_name_version_key holds_root"},
		{"package expired", postgres.PackageExpiredSQL, append(key, nil, 1), "packages_producer_name_version_key package_files_blob"},
		{"removing", postgres.RemovingSQL, []any{nil, 1, 1, nil, sum, "local", "unneeded", 60}, "locations_pkey blobs_pkey leases_pkey"},
		{"removed", postgres.RemovedSQL, []any{nil, 1, 1, sum, "local"}, "removals_"},
		{"collected", postgres.CollectedSQL, []any{sum, nil, 60}, "blobs_pkey leases_pkey removals_"},
		{"holds", postgres.HoldsSQL, key, "packages_producer_name_version_key holds_pkey packages_pkey"},
		{"references", postgres.ReferencesSQL, []any{sum, 50}, "package_files_blob packages_manifest packages_pkey holds_pkey"},
		{"leases of", postgres.LeasesSQL, []any{sum, 50}, "leases_pkey"},
		{"shown by sha256", postgres.ShownBy[digest.SHA256], append([]any{sum}, shownArgs...), "blobs_pkey leases_pkey packages_manifest package_files_blob packages_pkey"},
		{"shown by blake3", postgres.ShownBy[digest.BLAKE3], append([]any{sum}, shownArgs...), "blobs_blake3_key leases_pkey packages_manifest package_files_blob packages_pkey"},
		{"shown by sha512", postgres.ShownBy[digest.SHA512], append([]any{append(sum, sum...)}, shownArgs...), "blobs_sha512_key leases_pkey packages_manifest package_files_blob packages_pkey"},
		{"idle since", postgres.IdleSinceSQL, []any{sum}, "blobs_pkey leases_pkey"},
		{"finished uploads", postgres.FinishedUploadsSQL, []any{sum, 50}, "uploads_finished"},
		{"expirable", postgres.ExpirableSQL, []any{"standard", now.Add(-time.Hour), 100}, "packages_class holds_pkey package_files_blob"},
		{"removal", postgres.RemovalSQL, []any{sum, "local"}, "removals_"},
		{"removals of a blob", postgres.RemovalsOfSQL, []any{sum}, "removals_pkey"},
		{"removals", postgres.RemovalsSQL, []any{"local", sum, 100}, "removals_under_way"},
		{"token by its hash", postgres.TokenByHashSQL, []any{sum}, "tokens_sha256_key"},
		{"token by its id", postgres.TokenSQL, []any{"t7"}, "tokens_pkey"},
		{"tokens", postgres.TokensSQL, []any{"t7", 100}, "tokens_pkey"},
		{"token revoked", postgres.TokenRevokedSQL, []any{"t7", nil}, "tokens_pkey"},
		{"list of open packages", postgres.OpenPackagesSQL, window("", "open", "", nil), "packages_open"},
		{"list of packages", postgres.PackagesSQL, window("", "", "", nil), "packages_producer_name_version_key"},
		{"list of a producer", postgres.PackagesOfProducerSQL, window("", "oci", "", nil), "packages_producer_name_version_key"},
		{"list of a name", postgres.PackagesOfNameSQL, window("team/app7", "", "sealed", []byte(`{"a": "b"}`)), "packages_producer_name_version_key"},
		{"list by label", postgres.LabelledSQL, append(window("", "", "", []byte(`{"n": "7"}`)), "n", "7"), "package_labels_pkey packages_pkey"},
		{"collectable", postgres.CollectableSQL, []any{10_000, 100, sum, now}, "blobs_pkey leases_pkey locations_pkey"},
	} {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := explain(t, conn, mode, c.sql, c.args)
			if scan := wholeTable.FindString(plan); scan != "" {
				t.Errorf("%s (%s): %s:\n%s", c.name, mode, scan, plan)
			}
			for _, index := range strings.Fields(c.index) {
				if !strings.Contains(plan, index) {
					t.Errorf("%s (%s) does not use %s:\n%s", c.name, mode, index, plan)
				}
			}
		}
	}
}

var wholeTable = regexp.MustCompile(`Seq Scan on (blobs|locations|leases|events|uploads|packages|package_files|package_labels|tags|holds|removals|tokens)\b`)

// window are the arguments of a window through packages. For the largest, a small
// table is rightly read whole.
func window(name, format, state string, labels []byte) []any {
	return []any{1000, 100, "team", "team/app7", "sha256:7", name, format, state, "", labels}
}

// explain returns the plan of a prepared statement.
func explain(t *testing.T, conn *pgx.Conn, mode, sql string, args []any) string {
	t.Helper()
	run(t, conn, "SET plan_cache_mode = "+mode)
	const name = "explained"
	described, err := conn.Prepare(t.Context(), name, sql)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Deallocate(t.Context(), name)
	literals := make([]string, len(args))
	for i, arg := range args {
		text, err := conn.TypeMap().Encode(described.ParamOIDs[i], pgx.TextFormatCode, arg, []byte{})
		if err != nil {
			t.Fatal(err)
		}
		literals[i] = "NULL"
		if text != nil {
			literals[i] = "'" + string(text) + "'"
		}
	}
	rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %s (%s)", name, strings.Join(literals, ", ")), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// fillSQL makes blobs with one location each, every tenth failed, and a lease,
// faster than by appending. The digests are fill's.
const fillSQL = `
SET session_replication_role = replica;
INSERT INTO blobs SELECT sha256(int8send(n)), sha256(int8send(-n)), CASE WHEN n % 3 = 0 THEN sha512(int8send(n)) END, n, now()
    FROM generate_series(1, $1::bigint) AS n;
INSERT INTO locations SELECT sha256(int8send(n)), 'local', CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'stored' END,
    CASE WHEN n % 10 = 0 THEN 'missing' END, now(), n FROM generate_series(1, $1::bigint) AS n;
INSERT INTO leases SELECT sha256(int8send(n)), '', 'ci', 'ci', 'standard', now() FROM generate_series(1, $1::bigint) AS n;
INSERT INTO packages SELECT n, 'team', 'team/app' || n % 100, 'sha256:' || n, 'oci', 'sealed', 'standard', NULL, sha256(int8send(n)),
    'application/json', NULL, 'sha256:' || n % 1000, NULL, NULL, 1, now(), now() FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO package_files SELECT n, 'layer', sha256(int8send(n)), 'team/app' || n % 100 FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO package_labels SELECT 'n', n % 100, 'team', 'team/app' || n % 100, 'sha256:' || n, n FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO holds SELECT n, n, 'case', 'ci', now() FROM generate_series(1, $1::bigint / 10, 10) AS n;
INSERT INTO removals SELECT sha256(int8send(n)), 'far', 'moved', now(), n, n % 10 > 0 FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO tags SELECT 'team/app' || n % 100, 'v' || n, n, NULL, now() FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO leases SELECT sha256(int8send(n)), 'team/app' || n % 100, '', 'team', 'standard', now() FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO events SELECT n, now(), 'v1.storage.blob_stored', 'ci', sha256(int8send(n)) FROM generate_series(1, $1::bigint) AS n;
INSERT INTO uploads SELECT 'upload-' || n, 'ci', 'r', 'local', 0, NULL, NULL, NULL, 1, now() + n * interval '1s'
    FROM generate_series(1, $1::bigint / 10) AS n;
INSERT INTO tokens SELECT 't' || n, 'ci', sha256(int8send(n)), '{pull:*}', 'ann', now() FROM generate_series(1, $1::bigint / 10) AS n;
UPDATE head SET position = $1;
RESET session_replication_role;
ANALYZE`

// filled returns the URL of a database with so many blobs.
func filled(tb testing.TB, blobs int) string {
	tb.Helper()
	url := pgtest.New(tb)
	open(tb, url).Close()
	run(tb, connect(tb, url), strings.ReplaceAll(fillSQL, "$1", fmt.Sprint(blobs)))
	return url
}

// fill returns the SHA-256 of the n-th blob of a filled database.
func fill(n int) digest.Digest {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	sum := sha256.Sum256(b[:])
	return digest.New(digest.SHA256, sum[:])
}
