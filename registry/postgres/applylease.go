package postgres

import (
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// holder is who has a lease: a repository where one is named, else the actor.
type holder struct {
	repository string
	actor      string
}

func holderOf(repository, actor string) holder {
	if repository != "" {
		return holder{repository: repository}
	}
	return holder{actor: actor}
}

// leased has one row for a blob and a holder: of two promises the later end, of
// two that end together the first.
type leased struct {
	index             map[leaseKey]int
	blob              [][]byte
	repository, actor []string
	producer, class   []string
	until             []time.Time
}

type leaseKey struct {
	blob digest.Digest
	holder
}

const leasedSQL = `
WITH put AS (
    INSERT INTO leases AS l (blob, repository, actor, producer, retention_class, until)
    SELECT e.* FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS e
    ON CONFLICT (blob, repository, actor) DO UPDATE
        SET producer = excluded.producer, retention_class = excluded.retention_class, until = excluded.until
        WHERE l.until < excluded.until)
SELECT must(NOT EXISTS (
    SELECT FROM unnest($1::bytea[]) AS e (blob)
    WHERE NOT EXISTS (SELECT FROM locations AS l WHERE l.blob = e.blob AND l.state = 'stored')), 'no location of the blob is stored')`

func (s *leased) add(actor string, d registry.BlobLeased) {
	key := leaseKey{d.Blob, holderOf(d.Repository, actor)}
	i, twice := s.index[key]
	switch {
	case !twice:
		if s.index == nil {
			s.index = map[leaseKey]int{}
		}
		s.index[key] = len(s.blob)
		s.blob, s.until = append(s.blob, d.Blob.Sum()), append(s.until, d.Until)
		s.repository, s.actor = append(s.repository, key.repository), append(s.actor, key.actor)
		s.producer, s.class = append(s.producer, d.Producer), append(s.class, d.RetentionClass)
	case d.Until.After(s.until[i]):
		s.producer[i], s.class[i], s.until[i] = d.Producer, d.RetentionClass, d.Until
	}
}

func (s *leased) queue(b *pgx.Batch) {
	if len(s.blob) > 0 {
		b.Queue(leasedSQL, s.blob, s.repository, s.actor, s.producer, s.class, s.until)
	}
}

// released has one row for a blob and a holder: of two releases only the first
// ends a lease.
type released struct {
	known             map[leaseKey]bool
	at                []*time.Time
	blob              [][]byte
	repository, actor []string
}

const releasedSQL = `
WITH gone AS (
    DELETE FROM leases AS l USING unnest($1::bytea[], $2::text[], $3::text[], $4::timestamptz[]) AS e (blob, repository, actor, at)
    WHERE l.blob = e.blob AND l.repository = e.repository AND l.actor = e.actor
    RETURNING l.blob, e.at),
dropped AS (
    UPDATE blobs AS b SET dropped = greatest(b.dropped, g.at)
    FROM (SELECT gone.blob, max(coalesce(gone.at, head.recorded_at)) AS at FROM gone, head GROUP BY gone.blob) AS g
    WHERE b.sha256 = g.blob)
SELECT must(NOT EXISTS (
    SELECT FROM unnest($1::bytea[]) AS e (blob)
    WHERE NOT EXISTS (SELECT FROM blobs AS b WHERE b.sha256 = e.blob)), 'no such blob')`

func (s *released) add(at *time.Time, actor string, d registry.BlobReleased) {
	key := leaseKey{d.Blob, holderOf(d.Repository, actor)}
	if s.known[key] {
		return
	}
	if s.known == nil {
		s.known = map[leaseKey]bool{}
	}
	s.known[key] = true
	s.blob, s.at = append(s.blob, d.Blob.Sum()), append(s.at, at)
	s.repository, s.actor = append(s.repository, key.repository), append(s.actor, key.actor)
}

func (s *released) queue(b *pgx.Batch) {
	if len(s.blob) > 0 {
		b.Queue(releasedSQL, s.blob, s.repository, s.actor, s.at)
	}
}
