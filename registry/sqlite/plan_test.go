package sqlite

import (
	"database/sql/driver"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPlans shows that no request reads or sorts a whole table.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	for n := range uint64(50) { // a planner that has seen rows must not decide otherwise
		mustAppend(t, r, put(n)...)
	}
	if err := script(t, path, "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	small := regexp.MustCompile(`^SCAN (head|totals|location_totals)( |$)|^USE TEMP B-TREE FOR LAST TERM OF ORDER BY`)
	for name, sql := range map[string]string{
		"blob by sha256": selectBySHA256, "blob by blake3": selectByBLAKE3, "blob by sha512": selectBySHA512,
		"blobs": selectBlobs, "failed": selectFailed, "totals": selectTotals,
		"events": selectEvents, "head": selectHead,
		"upload": selectUpload, "expired": selectExpired, "save": updateUpload, "delete": deleteUpload,
		"blob stored": applyBlobStored, "location recorded": applyLocationRecorded, "location failed": applyLocationFailed,
		"location repaired": applyLocationRepaired, "leased": applyBlobLeased, "released": applyBlobReleased, "exists": blobExists,
	} {
		var plan []string
		for _, row := range explain(t, path, sql) {
			detail := row[3].(string)
			plan = append(plan, detail)
			slow := strings.HasPrefix(detail, "SCAN") || strings.HasPrefix(detail, "USE TEMP B-TREE")
			// One blob's locations are sorted, one page is walked: no table.
			bounded := strings.HasPrefix(name, "blob by") && detail == "USE TEMP B-TREE FOR ORDER BY" ||
				name == "blobs" && detail == "SCAN b"
			if slow && !bounded && !small.MatchString(detail) {
				t.Errorf("%s: %s", name, detail)
			}
		}
		t.Logf("%s: %s", name, strings.Join(plan, "; "))
	}
}

func explain(t *testing.T, path, sql string) [][]driver.Value {
	t.Helper()
	highest := 0
	for _, m := range regexp.MustCompile(`\?(\d)`).FindAllStringSubmatch(sql, -1) {
		highest = max(highest, int(m[1][0]-'0'))
	}
	return rows(t, path, "EXPLAIN QUERY PLAN "+sql, make([]driver.Value, highest)...)
}
