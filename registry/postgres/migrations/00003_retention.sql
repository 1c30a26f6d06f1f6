-- +goose Up

-- What keeps blobs and packages, what is being removed, and whose turn it is to do a work.

-- When the blob lost its last reference or had a lease released, the later of both: since then at most it is idle.
ALTER TABLE blobs ADD COLUMN dropped timestamptz CHECK (dropped >= stored_at);

-- When the bytes were last found right; NULL if never since they were written.
ALTER TABLE locations ADD COLUMN verified_at timestamptz CHECK (verified_at >= recorded_at);

-- What expires, longest unchanged first, then by key: in the order of the list, so that a batch of a million that are due
-- sorts none of them.
CREATE INDEX packages_class ON packages (retention_class, changed_at, producer, name, version);

-- The labels of packages once more, in the order of a list of packages by label.
CREATE TABLE package_labels (
    key      text   COLLATE "C" NOT NULL CHECK (key <> '' AND strpos(key, '=') = 0),
    value    text   COLLATE "C" NOT NULL,
    producer text   COLLATE "C" NOT NULL,
    name     text   COLLATE "C" NOT NULL,
    version  text   COLLATE "C" NOT NULL,
    package  bigint NOT NULL REFERENCES packages (id) ON DELETE CASCADE DEFERRABLE,
    PRIMARY KEY (key, value, producer, name, version)
);
CREATE UNIQUE INDEX package_labels_package ON package_labels (package, key);

-- Why a package stays. Root is the package that was put under the hold, and has a row too.
CREATE TABLE holds (
    package bigint      NOT NULL REFERENCES packages (id) DEFERRABLE, -- what is held cannot be deleted
    root    bigint      NOT NULL REFERENCES packages (id) DEFERRABLE,
    hold    text        COLLATE "C" NOT NULL CHECK (hold <> ''),
    actor   text        NOT NULL CHECK (actor <> ''),
    held_at timestamptz NOT NULL,
    PRIMARY KEY (package, root, hold)
);
CREATE INDEX holds_root ON holds (root, hold);

-- The last removal of a blob's object from a backend, under way or not. An orphan has no row in blobs, hence the digest.
-- What has ended stays: bytes that were committed before it ended may have gone with it.
CREATE TABLE removals (
    sha256     bytea       NOT NULL CHECK (length(sha256) = 32),
    backend_id text        NOT NULL CHECK (backend_id <> ''),
    cause      text        NOT NULL CHECK (cause IN ('unneeded', 'moved', 'orphan')),
    since      timestamptz NOT NULL,
    position   bigint      NOT NULL CHECK (position >= 1), -- of its last event
    ended      boolean     NOT NULL,
    PRIMARY KEY (sha256, backend_id)
);
CREATE INDEX removals_under_way ON removals (backend_id, sha256) WHERE NOT ended;

-- A removal under way counts as a location of its backend.
ALTER TABLE location_totals DROP CONSTRAINT location_totals_state_check,
    ADD CONSTRAINT location_totals_state_check CHECK (state IN ('stored', 'failed', 'removing'));

-- Whose turn it is to do a work, and what is known of it. They are no view: no event makes them, and nothing replays
-- them. A name stays, so that its tokens only grow.
CREATE TABLE claims (
    name   text        PRIMARY KEY,
    token  bigint      NOT NULL CHECK (token >= 1), -- of the last claim
    holder text        NOT NULL,                    -- for people
    ends   timestamptz,                             -- NULL once it is released
    state  bytea                                    -- NULL where none was set
);
