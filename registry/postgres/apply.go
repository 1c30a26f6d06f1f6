package postgres

import (
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// The views' statements, one for each kind of event, over the columns of many.
// Each keeps the totals, and refuses what does not fit: by a constraint of the
// schema, or by must() where a row's earlier state matters. A time that is NULL
// is the head's.

type stored struct {
	at                     []*time.Time
	sha256, blake3, sha512 [][]byte
	size                   []int64
}

// All parts of a statement see the tables as they were before it: "added" sees
// no blob that is new.
const storedSQL = `
WITH new AS (
    INSERT INTO blobs (sha256, blake3, sha512, size, stored_at)
    SELECT e.sha256, e.blake3, e.sha512, e.size, coalesce(e.at, head.recorded_at)
    FROM head, unnest($1::timestamptz[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[]) AS e (at, sha256, blake3, sha512, size)
    ON CONFLICT (sha256) DO NOTHING
    RETURNING size),
added AS (
    UPDATE blobs AS b SET sha512 = e.sha512
    FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[]) AS e (sha256, blake3, sha512, size)
    WHERE e.sha512 IS NOT NULL AND b.sha256 = e.sha256 AND b.sha512 IS NULL AND b.blake3 = e.blake3 AND b.size = e.size
    RETURNING b.size),
counted AS (
    UPDATE totals AS t SET blobs = t.blobs + n.blobs, blob_bytes = t.blob_bytes + n.bytes
    FROM (SELECT count(*) AS blobs, coalesce(sum(size), 0) AS bytes FROM new) AS n)
SELECT must((SELECT count(*) FROM new) + (SELECT count(*) FROM added) = cardinality($2), 'the blob exists')`

func (s *stored) add(at *time.Time, d registry.BlobStored) {
	s.at, s.size = append(s.at, at), append(s.size, d.Size)
	s.sha256, s.blake3 = append(s.sha256, d.SHA256.Sum()), append(s.blake3, d.BLAKE3.Sum())
	s.sha512 = append(s.sha512, d.SHA512.Sum())
}

func (s *stored) queue(b *pgx.Batch) {
	if len(s.at) > 0 {
		b.Queue(storedSQL, s.at, s.sha256, s.blake3, s.sha512, s.size)
	}
}

type recorded struct {
	n       []int64
	at      []*time.Time
	blob    [][]byte
	backend []string
	seen    []int64
}

// $1 and $2 place the events, as in queueViews: the base, or NULL and the number
// of events at the head.
const recordedSQL = `
WITH here AS (SELECT coalesce($1::bigint, position - $2::bigint) AS base, recorded_at FROM head),
put AS (
    INSERT INTO locations (blob, backend_id, state, recorded_at, position)
    SELECT e.blob, e.backend_id, 'stored', coalesce(e.at, here.recorded_at), here.base + e.n
    FROM here, unnest($3::bigint[], $4::timestamptz[], $5::bytea[], $6::text[]) AS e (n, at, blob, backend_id)
    RETURNING backend_id),
counted AS (
    INSERT INTO location_totals AS t (backend_id, state, locations)
    SELECT backend_id, 'stored', count(*) FROM put GROUP BY backend_id
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = t.locations + excluded.locations)
SELECT must(NOT EXISTS (
    SELECT FROM unnest($5::bytea[], $6::text[], $7::bigint[]) AS e (blob, backend_id, seen) WHERE ` + takenSQL + `), 'a removal may have taken it')`

// takenSQL is the condition that a removal may have taken the bytes of row e, which
// were committed after the log had been seen up to e.seen, or at any time where
// that is 0.
const takenSQL = `EXISTS (
    SELECT FROM removals AS r WHERE r.sha256 = e.blob AND r.backend_id = e.backend_id
    AND (NOT r.ended OR (e.seen > 0 AND r.position > e.seen)))`

func (s *recorded) add(n int64, at *time.Time, d registry.LocationRecorded) {
	s.n, s.at = append(s.n, n), append(s.at, at)
	s.blob, s.backend, s.seen = append(s.blob, d.Blob.Sum()), append(s.backend, d.BackendID), append(s.seen, int64(d.Seen))
}

func (s *recorded) queue(b *pgx.Batch, base *int64, count int) {
	if len(s.n) > 0 {
		b.Queue(recordedSQL, base, count, s.n, s.at, s.blob, s.backend, s.seen)
	}
}

type failed struct {
	blob    [][]byte
	backend []string
	reason  []string
	written []*time.Time // when the bytes that it speaks of were written; nil: whenever
}

const failedSQL = `
WITH put AS (
    UPDATE locations AS l SET state = 'failed', reason = e.reason
    FROM unnest($1::bytea[], $2::text[], $3::text[], $4::timestamptz[]) AS e (blob, backend_id, reason, written)
    WHERE l.blob = e.blob AND l.backend_id = e.backend_id AND l.state = 'stored'
      AND (e.written IS NULL OR e.written = l.recorded_at)
    RETURNING l.backend_id),
moved AS (SELECT backend_id, count(*) AS n FROM put GROUP BY backend_id),
less AS (
    UPDATE location_totals AS t SET locations = t.locations - moved.n
    FROM moved WHERE t.backend_id = moved.backend_id AND t.state = 'stored'),
more AS (
    INSERT INTO location_totals AS t (backend_id, state, locations) SELECT backend_id, 'failed', n FROM moved
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = t.locations + excluded.locations)
SELECT must((SELECT count(*) FROM put) = cardinality($1), 'no such location is stored, or its bytes were written at another time')`

func (s *failed) add(d registry.LocationFailed) {
	s.blob, s.backend = append(s.blob, d.Blob.Sum()), append(s.backend, d.BackendID)
	s.reason, s.written = append(s.reason, string(d.Reason)), append(s.written, orNil(d.RecordedAt))
}

func (s *failed) queue(b *pgx.Batch) {
	if len(s.blob) > 0 {
		b.Queue(failedSQL, s.blob, s.backend, s.reason, s.written)
	}
}

// orNil is NULL for the zero time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type repaired struct {
	at      []*time.Time
	blob    [][]byte
	backend []string
	seen    []int64
}

const repairedSQL = `
WITH put AS (
    UPDATE locations AS l SET state = 'stored', reason = NULL, verified_at = NULL, recorded_at = coalesce(e.at, head.recorded_at)
    FROM head, unnest($1::timestamptz[], $2::bytea[], $3::text[]) AS e (at, blob, backend_id)
    WHERE l.blob = e.blob AND l.backend_id = e.backend_id AND l.state = 'failed'
    RETURNING l.backend_id),
moved AS (SELECT backend_id, count(*) AS n FROM put GROUP BY backend_id),
less AS (
    UPDATE location_totals AS t SET locations = t.locations - moved.n
    FROM moved WHERE t.backend_id = moved.backend_id AND t.state = 'failed'),
more AS (
    INSERT INTO location_totals AS t (backend_id, state, locations) SELECT backend_id, 'stored', n FROM moved
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = t.locations + excluded.locations)
SELECT must((SELECT count(*) FROM put) = cardinality($2), 'no such location has failed'), must(NOT EXISTS (
    SELECT FROM unnest($2::bytea[], $3::text[], $4::bigint[]) AS e (blob, backend_id, seen) WHERE ` + takenSQL + `), 'a removal may have taken it')`

func (s *repaired) add(at *time.Time, d registry.LocationRepaired) {
	s.at = append(s.at, at)
	s.blob, s.backend, s.seen = append(s.blob, d.Blob.Sum()), append(s.backend, d.BackendID), append(s.seen, int64(d.Seen))
}

func (s *repaired) queue(b *pgx.Batch) {
	if len(s.at) > 0 {
		b.Queue(repairedSQL, s.at, s.blob, s.backend, s.seen)
	}
}

type verified struct {
	at      []*time.Time
	blob    [][]byte
	backend []string
	written []time.Time // when the bytes that were read were written
}

const verifiedSQL = `
WITH put AS (
    UPDATE locations AS l SET verified_at = coalesce(e.at, head.recorded_at)
    FROM head, unnest($1::timestamptz[], $2::bytea[], $3::text[], $4::timestamptz[]) AS e (at, blob, backend_id, written)
    WHERE l.blob = e.blob AND l.backend_id = e.backend_id AND l.state = 'stored' AND l.recorded_at = e.written
    RETURNING 1)
SELECT must((SELECT count(*) FROM put) = cardinality($2), 'no such location is stored, or its bytes were written at another time')`

func (s *verified) add(at *time.Time, d registry.LocationVerified) {
	s.at, s.written = append(s.at, at), append(s.written, d.RecordedAt)
	s.blob, s.backend = append(s.blob, d.Blob.Sum()), append(s.backend, d.BackendID)
}

func (s *verified) queue(b *pgx.Batch) {
	if len(s.at) > 0 {
		b.Queue(verifiedSQL, s.at, s.blob, s.backend, s.written)
	}
}
