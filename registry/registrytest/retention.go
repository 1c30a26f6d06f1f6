package registrytest

import (
	"testing"

	"artifactstore/registry"
)

// Keeping is a registry with the views of what keeps what.
type Keeping interface {
	registry.Registry
	registry.Retention
}

// RunRetention runs the suite of holds, expiry, verification, removal and
// collection; otherwise it is as [Run].
func RunRetention(t *testing.T, fresh func(t *testing.T) func(t *testing.T) Keeping) {
	for _, c := range retentionCases {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			c.test(t, &database{t, func(t *testing.T) registry.Registry { return open(t) }})
		})
	}
}

var retentionCases = []testCase{
	{"Holds", testHolds},
	{"HoldConflicts", testHoldConflicts},
	{"Expired", testExpired},
	{"Verified", testVerified},
	{"RemovalConflicts", testRemovalConflicts},
	{"RemovalOfUnneeded", testRemovalOfUnneeded},
	{"RemovalOfMoved", testRemovalOfMoved},
	{"RemovalOfOrphans", testRemovalOfOrphans},
	{"Seen", testSeen},
	{"Collected", testCollected},
	{"KeptAtOnce", testKeptAtOnce},
	{"IdleSince", testIdleSince},
	{"Collectable", testCollectable},
	{"Removals", testRemovals},
	{"Expirable", testExpirable},
	{"ListPackages", testListPackages},
	{"ListByLabels", testListByLabels},
	{"ReferencesOf", testReferencesOf},
	{"LeasesOf", testLeasesOf},
	{"Shown", testShown},
	{"CheckRetention", testCheckRetention},
	{"RandomRetentionHistories", testRandomRetentionHistories},
}

// keeping returns one more handle, as open does.
func (db *database) keeping() Keeping {
	db.t.Helper()
	return db.open().(Keeping)
}
