package registrytest

import (
	"testing"

	"artifactstore/registry"
)

// Full is a registry with the views of packages.
type Full interface {
	registry.Registry
	registry.Packages
}

// RunPackages runs the suite of packages, references and tags; otherwise it is as
// [Run].
func RunPackages(t *testing.T, fresh func(t *testing.T) func(t *testing.T) Full) {
	for _, c := range packageCases {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			c.test(t, &database{t, func(t *testing.T) registry.Registry { return open(t) }})
		})
	}
}

var packageCases = []testCase{
	{"PackageCreated", testPackageCreated},
	{"PackageOfManyFiles", testPackageOfManyFiles},
	{"PackageConflicts", testPackageConflicts},
	{"PackageConflictsWithinOneAppend", testPackageConflictsWithinOneAppend},
	{"PackageChanges", testPackageChanges},
	{"PackageDeleted", testPackageDeleted},
	{"PackagesAtOnce", testPackagesAtOnce},
	{"References", testReferences},
	{"UsedIn", testUsedIn},
	{"ManifestByTag", testManifestByTag},
	{"ManifestByDigest", testManifestByDigest},
	{"ManifestPushedWithTags", testManifestPushedWithTags},
	{"Referrers", testReferrers},
	{"Visible", testVisible},
	{"HasRepository", testHasRepository},
	{"Files", testFiles},
	{"Tags", testTags},
	{"Repositories", testRepositories},
	{"AppendWhileListing", testAppendWhileListing},
	{"PackageTotals", testPackageTotals},
	{"CheckPackages", testCheckPackages},
	{"RandomPackageHistories", testRandomPackageHistories},
}

// full returns one more handle, as open does.
func (db *database) full() Full {
	db.t.Helper()
	return db.open().(Full)
}
