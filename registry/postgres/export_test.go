package postgres

import (
	"context"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// What is asked at every request, for the test of their plans.
const (
	BlobBySHA256SQL   = blobBySHA256SQL
	BlobByBLAKE3SQL   = blobByBLAKE3SQL
	BlobBySHA512SQL   = blobBySHA512SQL
	BlobsSQL          = blobsSQL
	FailedSQL         = failedOnSQL
	SinceSQL          = sinceSQL
	UploadSQL         = uploadSQL
	SaveUploadSQL     = saveUploadSQL
	DeleteUploadSQL   = deleteUploadSQL
	ExpiredUploadsSQL = expiredUploadsSQL
	LocationFailedSQL = failedSQL
	RepairedSQL       = repairedSQL
	LeasedSQL         = leasedSQL
	ReleasedSQL       = releasedSQL
	StoredSQL         = storedSQL
	PackageSQL        = packageSQL
	FilesSQL          = filesSQL
	FileSQL           = fileSQL
	UsedInSQL         = usedInSQL
	ManifestByTagSQL  = manifestByTagSQL
	TagsSQL           = tagsSQL
	RepositoriesSQL   = repositoriesSQL
	HasRepositorySQL  = hasRepositorySQL
	ReferrersSQL      = referrersSQL
	FileRemovedSQL    = fileRemovedSQL
	PackageDeletedSQL = packageDeletedSQL
	TagSetSQL         = tagSetSQL
	TagRemovedSQL     = tagRemovedSQL

	RecordedSQL        = recordedSQL
	VerifiedSQL        = verifiedSQL
	PackageHeldSQL     = packageHeldSQL
	PackageReleasedSQL = packageReleasedSQL
	PackageExpiredSQL  = packageExpiredSQL
	RemovingSQL        = removingSQL
	RemovedSQL         = removedSQL
	CollectedSQL       = collectedSQL
	HoldsSQL           = holdsSQL
	ReferencesSQL      = referencesSQL
	IdleSinceSQL       = idleSinceSQL
	RemovalsOfSQL      = removalsOfSQL
	FinishedUploadsSQL = finishedUploadsSQL
	LeasesSQL          = leasesSQL
	ExpirableSQL       = expirableSQL
	RemovalSQL         = removalSQL
	RemovalsSQL        = removalsSQL
	TokenSQL           = tokenSQL
	TokenByHashSQL     = tokenByHashSQL
	TokensSQL          = tokensSQL
	TokenRevokedSQL    = tokenRevokedSQL
)

// Those that are made of parts.
var (
	BlobInSQL        = blobBySHA256SQL + visibleSQL
	ManifestSQL      = manifestBy[digest.SHA256]
	PackageSealedSQL = packageSealedSQL
	FileAddedSQL     = fileAddedSQL

	PackageCreatedSQL     = packageCreatedSQL
	PackagesSQL           = packagesSQL(afterKey)
	OpenPackagesSQL       = packagesSQL(onlyOpen + afterKey)
	PackagesOfProducerSQL = packagesSQL(afterInProducer)
	PackagesOfNameSQL     = packagesSQL(afterInName)
	LabelledSQL           = labelledSQL(afterKey)
	CollectableSQL        = collectableSQL
)

// CommitGroup commits appends as one group of a writer, and returns what each
// was answered.
func CommitGroup(ctx context.Context, conn *pgx.Conn, appends [][]registry.Event) ([]error, error) {
	var g group
	for _, events := range appends {
		c, err := newCall(events)
		if err != nil {
			return nil, err
		}
		g = append(g, c)
	}
	_, err := g.commit(ctx, conn)
	g.answer(err)
	answers := make([]error, len(g))
	for i, c := range g {
		answers[i] = c.err
	}
	return answers, err
}

// ShownBy are the queries for what shows a blob, by the algorithm of its digest.
var ShownBy = shownBy
