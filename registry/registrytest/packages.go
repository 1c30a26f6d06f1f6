package registrytest

// packageCases are the cases of packages, references and tags.
var packageCases = []testCase{
	{"PackageCreated", testPackageCreated},
	{"PackageOfManyFiles", testPackageOfManyFiles},
	{"PackageConflicts", testPackageConflicts},
	{"PackageConflictsWithinOneAppend", testPackageConflictsWithinOneAppend},
	{"PackageChanges", testPackageChanges},
	{"PackageDeleted", testPackageDeleted},
	{"New", testNew},
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
