package postgres

import "artifactstore/registry"

// The statements of the events of holds and of removals, one for an event.

// Who is covered must be there, and the primary key refuses a hold that is.
const packageHeldSQL = `
WITH root AS (SELECT id FROM packages WHERE ` + keySQL + `),
covered AS (
    SELECT id FROM root UNION ALL
    SELECT p.id FROM unnest($7::text[], $8::text[], $9::text[]) AS e (producer, name, version)
    JOIN packages AS p ON p.producer = e.producer AND p.name = e.name AND p.version = e.version),
put AS (
    INSERT INTO holds (package, root, hold, actor, held_at)
    SELECT covered.id, root.id, $5, $6, coalesce($4::timestamptz, head.recorded_at) FROM covered, root, head
    RETURNING 1)
SELECT must((SELECT count(*) FROM put) = cardinality($7) + 1, 'the package, or one that is covered, is not there')`

// heldColumns are the arguments of packageHeldSQL behind the key and the time.
func heldColumns(actor string, d registry.PackageHeld) []any {
	n := len(d.Covers)
	producers, names, versions := make([]string, n), make([]string, n), make([]string, n)
	for i, k := range d.Covers {
		producers[i], names[i], versions[i] = k.Producer, k.Name, k.Version
	}
	return []any{d.Hold, actor, producers, names, versions}
}

// Every row of a hold has its root, and the root's own is among them.
const packageReleasedSQL = `
WITH gone AS (
    DELETE FROM holds WHERE root = (SELECT id FROM packages WHERE ` + keySQL + `) AND hold = $4 RETURNING 1)
SELECT must(EXISTS (SELECT FROM gone), 'it is not under the hold')`

// idleSQL is since when nothing but a reference keeps blob b, or until when a lease
// does.
const idleSQL = `greatest(b.stored_at, b.dropped, (SELECT max(until) FROM leases AS e WHERE e.blob = b.sha256))`

// $1 to $4 place the event as in packageCreatedSQL. What each cause demands is in
// the words of registry.Cause.
const removingSQL = `
WITH here AS (SELECT coalesce($1::bigint, position - $2::bigint) + $3::bigint AS position, coalesce($4::timestamptz, recorded_at) AS at FROM head),
begun AS (
    INSERT INTO removals AS r (sha256, backend_id, cause, since, position, ended)
    SELECT $5::bytea, $6::text, $7::text, here.at, here.position, false FROM here
    ON CONFLICT (sha256, backend_id) DO UPDATE
        SET cause = excluded.cause, since = excluded.since, position = excluded.position, ended = false WHERE r.ended
    RETURNING 1),
gone AS (DELETE FROM locations WHERE blob = $5 AND backend_id = $6 RETURNING state),
less AS (
    UPDATE location_totals AS t SET locations = t.locations - 1
    FROM gone WHERE t.backend_id = $6 AND t.state = gone.state),
more AS (
    INSERT INTO location_totals AS t (backend_id, state, locations) VALUES ($6, 'removing', 1)
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = t.locations + 1)
SELECT must(EXISTS (SELECT FROM begun), 'its removal is under way'),
       must(EXISTS (SELECT FROM gone) = ($7 <> 'orphan'), 'no such location, or no orphan'),
       must($7 <> 'moved' OR EXISTS (
           SELECT FROM locations AS l WHERE l.blob = $5 AND l.backend_id <> $6 AND l.state = 'stored'), 'no other location is stored'),
       must($7 <> 'unneeded' OR EXISTS (
           SELECT FROM blobs AS b, here WHERE b.sha256 = $5 AND b.refs = 0
           AND ` + idleSQL + ` <= here.at - $8::bigint * interval '1 second'), 'the blob is not collectable')`

// $1 to $3 place the event as in packageCreatedSQL.
const removedSQL = `
WITH here AS (SELECT coalesce($1::bigint, position - $2::bigint) + $3::bigint AS position FROM head),
done AS (
    UPDATE removals AS r SET ended = true, position = here.position FROM here
    WHERE r.sha256 = $4 AND r.backend_id = $5 AND NOT r.ended RETURNING r.backend_id),
less AS (
    UPDATE location_totals AS t SET locations = t.locations - 1
    FROM done WHERE t.backend_id = done.backend_id AND t.state = 'removing')
SELECT must(EXISTS (SELECT FROM done), 'no removal is under way')`

// collectedSQL leaves it to the foreign keys that no location is left. All parts see
// the leases as they were.
const collectedSQL = `
WITH gone AS (
    DELETE FROM blobs AS b USING head
    WHERE b.sha256 = $1 AND b.refs = 0
      AND ` + idleSQL + ` <= coalesce($2::timestamptz, head.recorded_at) - $3::bigint * interval '1 second'
      AND NOT EXISTS (SELECT FROM removals AS r WHERE r.sha256 = $1 AND NOT r.ended)
    RETURNING b.sha256, b.size),
ended AS (DELETE FROM leases AS l USING gone WHERE l.blob = gone.sha256),
total AS (UPDATE totals AS t SET blobs = t.blobs - 1, blob_bytes = t.blob_bytes - gone.size FROM gone)
SELECT must(EXISTS (SELECT FROM gone), 'no such blob, or it is not collectable')`
