package sqlite

import (
	"database/sql/driver"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// TestPlans shows that no request reads or sorts a whole table.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	for n := range uint64(50) { // a planner that has seen rows must not decide otherwise
		mustAppend(t, r, put(n)...)
		mustAppend(t, r, push("team/app", n)...)
	}
	if err := script(t, path, "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	small := regexp.MustCompile(`^SCAN (head|totals|location_totals|CONSTANT ROW)( |$)|^USE TEMP B-TREE FOR LAST TERM OF ORDER BY`)
	// One blob's locations are sorted, and one package's files are counted. A page of blobs,
	// of referrers or what one package names is walked: each is a table of the query's own.
	bounded := map[string]*regexp.Regexp{
		"blob":       regexp.MustCompile(`^USE TEMP B-TREE FOR ORDER BY$`),
		"manifest":   regexp.MustCompile(`^USE TEMP B-TREE FOR ORDER BY$`),
		"blobs":      regexp.MustCompile(`^SCAN b$`),
		"walk":       regexp.MustCompile(`^SCAN (b|walked|walk|last|passed|wanted|VIRTUAL TABLE|wanted VIRTUAL TABLE INDEX.*)( LEFT-JOIN)?$|^USE TEMP B-TREE FOR ORDER BY$`),
		"holds":      regexp.MustCompile(`^USE TEMP B-TREE FOR ORDER BY$`),
		"files":      regexp.MustCompile(`^SCAN f$`),
		"leases":     regexp.MustCompile(`^USE TEMP B-TREE FOR ORDER BY$`),
		"references": regexp.MustCompile(`^SCAN (used|\(subquery-\d+\))$|^USE TEMP B-TREE FOR (ORDER BY|DISTINCT)$`),
		"shown":      regexp.MustCompile(`^SCAN (this|step|f|\(subquery-\d+\))$`),
		"old":        regexp.MustCompile(`^USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY$`),
		"page":       regexp.MustCompile(`^SCAN referrer$`),
		"count":      regexp.MustCompile(`^SCAN (named|\(subquery-\d+\))$|^USE TEMP B-TREE FOR GROUP BY$`),
	}
	fromIndex := map[string]bool{"walk of all packages": true, "walk of a producer": true, "walk of a name": true}
	for name, sql := range map[string]string{
		"blob by sha256": selectBySHA256, "blob by blake3": selectByBLAKE3, "blob by sha512": selectBySHA512,
		"blobs": selectBlobs, "failed": selectFailed, "totals": selectTotals,
		"events": selectEvents, "head": selectHead,
		"upload": selectUpload, "expired": selectExpired, "finished": selectFinished, "save": updateUpload, "delete": deleteUpload,
		"blob stored": applyBlobStored, "location recorded": applyLocationRecorded, "location failed": applyLocationFailed,
		"location repaired": applyLocationRepaired, "leased": applyBlobLeased, "released": applyBlobReleased, "exists": blobExists,
		"blob by sha256 in a repository": selectBlobInBy[digest.SHA256], "blob by blake3 in a repository": selectBlobInBy[digest.BLAKE3],
		"blob by sha512 in a repository": selectBlobInBy[digest.SHA512],
		"package":                        selectPackage, "files": selectFiles, "one file": selectFile, "used in": selectUsedIn,
		"manifest by tag": selectManifestByTag, "manifest by sha256": selectManifestBy[digest.SHA256],
		"manifest by blake3": selectManifestBy[digest.BLAKE3], "manifest by sha512": selectManifestBy[digest.SHA512],
		"tags": selectTags, "repositories": selectRepositories, "has repository": selectHasRepository,
		"page of referrers": selectReferrers(1, false), "page of referrers of three": selectReferrers(3, true),
		"position": selectPosition, "created": applyPackageCreated, "label": applyLabel, "file": applyFile, "file removed": applyFileRemoved,
		"changed": applyOpenChanged, "sealed": applyPackageSealed, "renewed": applyPackageRenewed, "deleted": applyPackageDeleted,
		"tag set": applyTagSet, "tag removed": applyTagRemoved,
		"hold": applyHold, "hold released": applyPackageReleased, "expired package": applyPackageExpired, "verified": applyLocationVerified,
		"unneeded": applyRemoving[registry.Unneeded], "moved": applyRemoving[registry.Moved], "orphan": applyRemoving[registry.Orphan],
		"moved away": applyMovedAway, "removed": applyLocationRemoved,
		"collectable blob": selectCollectableBlob, "leases ended": applyLeasesEnded, "collected": applyBlobCollected, "dropped": applyLeaseDropped,
		"holds": selectHolds, "references": selectReferences, "leases of a blob": selectLeases, "idle since": selectIdleSince, "old packages": selectExpirable,
		"shown by sha256": selectShownBy[digest.SHA256], "shown by blake3": selectShownBy[digest.BLAKE3], "shown by sha512": selectShownBy[digest.SHA512],
		"removal": selectRemoval, "removals of a blob": selectRemovalsOf, "removals": selectRemovals, "walk of blobs": selectCollectable,
		"walk of all packages":         walkOf(false, rangeAll, ""),
		"walk of a producer":           walkOf(false, rangeProducer, ""),
		"walk of a name":               walkOf(false, rangeName, ""),
		"walk of a label":              walkOf(true, rangeAll, hasLabels),
		"walk of a producer's label":   walkOf(true, rangeProducer, hasLabels),
		"walk of a label under a name": walkOf(true, rangeName, hasLabels),
		"claim":                        claim, "token": selectToken, "claim renewed": renewClaim, "claim released": releaseClaim,
		"state": selectState, "state set": setState,
		"token created": applyTokenCreated, "token revoked": applyTokenRevoked,
		"token by id": selectTokenByID, "token by hash": selectTokenByHash, "tokens": selectTokens,
		"count blob": countBlob, "count file no longer": uncountFile, "count named": countNamed, "count named no longer": uncountNamed,
	} {
		var plan []string
		for _, row := range explain(t, path, sql) {
			detail := row[3].(string)
			plan = append(plan, detail)
			slow := strings.HasPrefix(detail, "SCAN") || strings.HasPrefix(detail, "USE TEMP B-TREE")
			kind, _, _ := strings.Cut(name, " ")
			known := bounded[kind] != nil && bounded[kind].MatchString(detail)
			if slow && !known && !small.MatchString(detail) {
				t.Errorf("%s: %s", name, detail)
			}
		}
		if listed := "SEARCH packages USING COVERING INDEX packages_listed"; fromIndex[name] && !strings.Contains(strings.Join(plan, "; "), listed) {
			t.Errorf("%s: %s; want %s: of a package that does not pass no row is read", name, strings.Join(plan, "; "), listed)
		}
		t.Logf("%s: %s", name, strings.Join(plan, "; "))
	}
}

func explain(t *testing.T, path, sql string) [][]driver.Value {
	t.Helper()
	highest := 0
	for _, m := range regexp.MustCompile(`\?(\d+)`).FindAllStringSubmatch(sql, -1) {
		n, _ := strconv.Atoi(m[1])
		highest = max(highest, n)
	}
	return rows(t, path, "EXPLAIN QUERY PLAN "+sql, make([]driver.Value, highest)...)
}
