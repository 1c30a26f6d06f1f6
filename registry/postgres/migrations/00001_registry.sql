-- +goose Up

-- The log. Type and subject of an event follow from its data; the type has a column because the data are read by it.
CREATE TABLE events (
    position    bigint      PRIMARY KEY CHECK (position >= 1), -- 1, 2, 3, … without a gap, in commit order
    recorded_at timestamptz NOT NULL,                          -- never earlier than at the position before
    type        text        NOT NULL CHECK (type LIKE 'v1.%'),
    actor       text        NOT NULL CHECK (actor <> ''),
    data        bytea       NOT NULL                           -- canonical CBOR (RFC 8949 §4.2.1)
);

-- The end of the log, one row. Whoever writes the log or a view has locked it first and holds it until the commit:
-- that is why positions have no gap, why they are in commit order, and why writers never deadlock.
CREATE TABLE head (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    position    bigint      NOT NULL CHECK (position >= 0),
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10); -- room for its next versions on the same page
INSERT INTO head (position, recorded_at) VALUES (0, 'epoch');

-- A blob, by any of its digests.
CREATE TABLE blobs (
    sha256    bytea       PRIMARY KEY     CHECK (length(sha256) = 32),
    blake3    bytea       NOT NULL UNIQUE CHECK (length(blake3) = 32),
    sha512    bytea                       CHECK (length(sha512) = 64), -- NULL unless a client pushed it so
    size      bigint      NOT NULL        CHECK (size >= 0),           -- bytes
    stored_at timestamptz NOT NULL                                     -- of its first blob_stored
);
CREATE UNIQUE INDEX blobs_sha512_key ON blobs (sha512) WHERE sha512 IS NOT NULL;

-- The fact that a blob is on a backend.
CREATE TABLE locations (
    blob        bytea       NOT NULL REFERENCES blobs (sha256) DEFERRABLE, -- no location of an absent blob
    backend_id  text        NOT NULL CHECK (backend_id <> ''),
    state       text        NOT NULL CHECK (state IN ('stored', 'failed')),
    reason      text        CHECK (reason IN ('mismatch', 'missing', 'truncated', 'unreadable')),
    recorded_at timestamptz NOT NULL,                        -- when its bytes were last written
    position    bigint      NOT NULL CHECK (position >= 1),  -- of its location_recorded
    PRIMARY KEY (blob, backend_id),                          -- one location of a blob on a backend
    CHECK ((state = 'failed') = (reason IS NOT NULL))        -- what failed has a reason, and nothing else has
);
CREATE INDEX locations_failed ON locations (backend_id, blob) WHERE state = 'failed';

-- A promise to keep a blob. Its holder is a repository or an actor: the other is ''.
CREATE TABLE leases (
    blob            bytea       NOT NULL REFERENCES blobs (sha256) DEFERRABLE, -- no lease on an absent blob
    repository      text        NOT NULL,
    actor           text        NOT NULL,
    producer        text        NOT NULL CHECK (producer <> ''),
    retention_class text        NOT NULL CHECK (retention_class <> ''),
    until           timestamptz NOT NULL CHECK (until <= '9999-12-31 00:00:00+00'),
    PRIMARY KEY (blob, repository, actor), -- one lease of a holder on a blob
    CHECK ((repository = '') <> (actor = ''))
);

-- Counts of the views, kept by the statements that change them.
CREATE TABLE totals (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    blobs      bigint  NOT NULL CHECK (blobs >= 0),
    blob_bytes numeric NOT NULL CHECK (blob_bytes >= 0)
) WITH (fillfactor = 10);
INSERT INTO totals (blobs, blob_bytes) VALUES (0, 0);

CREATE TABLE location_totals (
    backend_id text   NOT NULL,
    state      text   NOT NULL CHECK (state IN ('stored', 'failed')),
    locations  bigint NOT NULL CHECK (locations >= 0),
    PRIMARY KEY (backend_id, state)
) WITH (fillfactor = 10);

-- Upload sessions. They are no view: no event makes them, and nothing replays them.
CREATE TABLE uploads (
    id         text        PRIMARY KEY CHECK (id <> ''),
    principal  text        NOT NULL,
    repository text        NOT NULL,
    backend_id text        NOT NULL,
    "offset"   bigint      NOT NULL CHECK ("offset" >= 0), -- bytes acknowledged
    hash       bytea,                                      -- the hashes' state at the offset
    state      bytea,                                      -- the backend's state at the offset
    finished   bytea       CHECK (length(finished) = 32),  -- primary digest of the blob it became; NULL: open
    version    bigint      NOT NULL CHECK (version >= 1),  -- grows with every save
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX uploads_expires_at ON uploads (expires_at, id);

-- The number of open upload sessions is the sum over 16 rows, so that requests that open and finish sessions, which do
-- not go through the head's lock, seldom wait for each other. A session is counted by the last character of its id.
CREATE TABLE upload_totals (
    shard   smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 15),
    uploads bigint   NOT NULL CHECK (uploads >= 0)
) WITH (fillfactor = 10);
INSERT INTO upload_totals SELECT shard, 0 FROM generate_series(0, 15) AS shard;

-- +goose StatementBegin
CREATE FUNCTION upload_shard(id text) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (ascii(right(id, 1)) % 16)::smallint;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION count_upload() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE upload_totals SET uploads = uploads + TG_ARGV[0]::bigint WHERE shard = upload_shard(coalesce(NEW.id, OLD.id));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER uploads_opened AFTER INSERT ON uploads
    FOR EACH ROW WHEN (NEW.finished IS NULL) EXECUTE FUNCTION count_upload('1');
CREATE TRIGGER uploads_gone AFTER DELETE ON uploads
    FOR EACH ROW WHEN (OLD.finished IS NULL) EXECUTE FUNCTION count_upload('-1');
CREATE TRIGGER uploads_finished AFTER UPDATE OF finished ON uploads
    FOR EACH ROW WHEN (OLD.finished IS NULL AND NEW.finished IS NOT NULL) EXECUTE FUNCTION count_upload('-1');
CREATE TRIGGER uploads_reopened AFTER UPDATE OF finished ON uploads
    FOR EACH ROW WHEN (OLD.finished IS NOT NULL AND NEW.finished IS NULL) EXECUTE FUNCTION count_upload('1');

-- Must refuses a statement, as a constraint would, unless something holds.
-- +goose StatementBegin
CREATE FUNCTION must(holds boolean, otherwise text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = otherwise;
    END IF;
END
$$;
-- +goose StatementEnd
