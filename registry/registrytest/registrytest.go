// Package registrytest is the contract of package registry as a test suite: what
// the interfaces promise, each implementation must pass, over several handles on
// one database as if they were several processes, and on random histories
// beside [registry.Model].
//
// What a driver does about damage (a changed row, a missing record, a full
// disk) is not here: the driver's own tests know how to damage its tables.
package registrytest

import (
	"slices"
	"testing"

	"artifactstore/registry"
)

// Opener opens a database as one more process would. The suite closes what it
// opens; the opener must not.
type Opener = func(t *testing.T) registry.Registry

// Run runs the suite. fresh makes an empty database, which lives until t ends,
// and returns its opener.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, c := range slices.Concat(cases, packageCases) {
		t.Run(c.name, func(t *testing.T) { c.test(t, &database{t, fresh(t)}) })
	}
}

type testCase struct {
	name string
	test func(*testing.T, *database)
}

var cases = []testCase{
	{"EmptyLog", testEmptyLog},
	{"AppendAndReplay", testAppendAndReplay},
	{"AppendNothing", testAppendNothing},
	{"AppendMany", testAppendMany},
	{"Malformed", testMalformed},
	{"Conflicts", testConflicts},
	{"ConflictWithinOneAppend", testConflictWithinOneAppend},
	{"RefusedDisturbsNobody", testRefusedDisturbsNobody},
	{"PositionsOverHandles", testPositionsOverHandles},
	{"SameBlobAtOnce", testSameBlobAtOnce},
	{"CancelledAppend", testCancelledAppend},
	{"CloseWaits", testCloseWaits},
	{"Since", testSince},
	{"SinceNeverSkips", testSinceNeverSkips},
	{"AppendWhileReading", testAppendWhileReading},
	{"WaitBehind", testWaitBehind},
	{"WaitWakes", testWaitWakes},
	{"WaitGivesUp", testWaitGivesUp},
	{"BlobByAnyDigest", testBlobByAnyDigest},
	{"Locations", testLocations},
	{"Leases", testLeases},
	{"Blobs", testBlobs},
	{"Failed", testFailed},
	{"Totals", testTotals},
	{"Health", testHealth},
	{"Uploads", testUploads},
	{"UploadVersions", testUploadVersions},
	{"UploadSavedAtOnce", testUploadSavedAtOnce},
	{"ExpiredUploads", testExpiredUploads},
	{"FinishedUploads", testFinishedUploads},
	{"Tokens", testTokens},
	{"TokenConflicts", testTokenConflicts},
	{"TokensListed", testTokensListed},
	{"TokensReplayed", testTokensReplayed},
	{"SigningKeys", testSigningKeys},
	{"SigningKeysAtOnce", testSigningKeysAtOnce},
	{"SigningKeysAreNoView", testSigningKeysAreNoView},
	{"Check", testCheck},
	{"CheckBesideAppends", testCheckBesideAppends},
	{"Rebuild", testRebuild},
	{"RandomHistories", testRandomHistories},
}

// database is one test's database.
type database struct {
	t    *testing.T
	each Opener
}

// open returns one more handle on the database, closed when the test ends.
func (db *database) open() registry.Registry {
	db.t.Helper()
	r := db.each(db.t)
	db.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			db.t.Errorf("Close: %v", err)
		}
	})
	return r
}
