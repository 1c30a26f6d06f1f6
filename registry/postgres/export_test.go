package postgres

import (
	"context"

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
