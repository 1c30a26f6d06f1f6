-- The registry: a log, the views derived from it, and upload sessions beside it.
--
-- Times are microseconds since 1970 in UTC. Digests are the raw sums. The
-- constraints are the rules of the store: a change that breaks one is refused,
-- whoever makes it.

-- +goose Up

-- head is the end of the log, in one row: reading it is how a writer learns the
-- next position, and events are refused that do not continue it.
CREATE TABLE head (
  only     INTEGER PRIMARY KEY CHECK (only = 1),
  position INTEGER NOT NULL CHECK (position >= 0), -- of the last event, 0 for none
  time     INTEGER NOT NULL CHECK (time >= 0)      -- of the last event
) STRICT;
INSERT INTO head VALUES (1, 0, 0);

-- events is the log. Nothing in it is ever changed or removed.
CREATE TABLE events (
  position INTEGER PRIMARY KEY CHECK (position >= 1),
  time     INTEGER NOT NULL CHECK (time >= 0),
  type     TEXT NOT NULL CHECK (type <> ''),
  actor    TEXT NOT NULL CHECK (actor <> ''),
  subject  TEXT NOT NULL CHECK (subject <> ''),
  data     BLOB NOT NULL CHECK (length(data) > 0)  -- canonical CBOR
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER events_continue_head BEFORE INSERT ON events
WHEN (NEW.position, 1) IS NOT (SELECT position + 1, NEW.time >= time FROM head) BEGIN
  SELECT RAISE(ABORT, 'an event must continue the log in position and time');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_move_head AFTER INSERT ON events BEGIN
  UPDATE head SET position = NEW.position, time = NEW.time;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_never_change BEFORE UPDATE ON events BEGIN
  SELECT RAISE(ABORT, 'the log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_never_leave BEFORE DELETE ON events BEGIN
  SELECT RAISE(ABORT, 'the log is append-only');
END;
-- +goose StatementEnd

-- blobs is a view: what is stored. The key is the position of the blob's first
-- blob_stored event, so what hangs on a blob is written in the order of the log
-- and not all over the file, as it would be by digest.
CREATE TABLE blobs (
  position  INTEGER PRIMARY KEY CHECK (position >= 1),
  sha256    BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  blake3    BLOB NOT NULL UNIQUE CHECK (length(blake3) = 32),
  sha512    BLOB CHECK (length(sha512) = 64),                 -- where a client pushed it so
  size      INTEGER NOT NULL CHECK (size >= 0),               -- bytes
  stored_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX blobs_sha512 ON blobs (sha512) WHERE sha512 IS NOT NULL; -- most have none

-- locations is a view: where blobs are.
CREATE TABLE locations (
  blob        INTEGER NOT NULL REFERENCES blobs (position),
  backend_id  TEXT NOT NULL CHECK (backend_id <> ''),
  state       TEXT NOT NULL CHECK (state IN ('stored', 'failed')),
  reason      TEXT CHECK (reason IN ('mismatch', 'missing', 'truncated', 'unreadable')),
  failed      BLOB CHECK (length(failed) = 32), -- the blob's sha256 while the location is failed: the order of repairs
  recorded_at INTEGER NOT NULL,                 -- when the bytes were last written
  position    INTEGER NOT NULL,                 -- of the location_recorded event
  PRIMARY KEY (blob, backend_id),
  CHECK ((state = 'failed') = (reason IS NOT NULL)),
  CHECK ((state = 'failed') = (failed IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX locations_failed ON locations (backend_id, failed) WHERE state = 'failed';

-- leases is a view: who wants blobs kept, and how long. The holder is a
-- repository or an actor: the other is ''.
CREATE TABLE leases (
  blob            INTEGER NOT NULL REFERENCES blobs (position),
  repository      TEXT NOT NULL,
  actor           TEXT NOT NULL,
  until           INTEGER NOT NULL,
  producer        TEXT NOT NULL CHECK (producer <> ''),
  retention_class TEXT NOT NULL CHECK (retention_class <> ''),
  PRIMARY KEY (blob, repository, actor),
  CHECK ((repository = '') <> (actor = ''))
) STRICT, WITHOUT ROWID;

-- uploads are sessions under way: operational rows, never replayed.
CREATE TABLE uploads (
  id         TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  principal  TEXT NOT NULL,
  repository TEXT NOT NULL,
  backend_id TEXT NOT NULL,
  offset     INTEGER NOT NULL CHECK (offset >= 0),   -- bytes acknowledged
  hash       BLOB,                                   -- the hasher's state at offset
  state      BLOB,                                   -- the backend's state at offset
  finished   BLOB CHECK (length(finished) = 32),     -- sha256 of the blob it became; NULL while it is open
  version    INTEGER NOT NULL CHECK (version >= 1),  -- guards against a second writer
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_expiring ON uploads (expires_at, id);

-- totals and location_totals are kept by the triggers below, so that no request
-- counts rows.
CREATE TABLE totals (
  only       INTEGER PRIMARY KEY CHECK (only = 1),
  blobs      INTEGER NOT NULL CHECK (blobs >= 0),
  blob_bytes INTEGER NOT NULL CHECK (blob_bytes >= 0),
  uploads    INTEGER NOT NULL CHECK (uploads >= 0)           -- the open ones
) STRICT;
INSERT INTO totals VALUES (1, 0, 0, 0);

CREATE TABLE location_totals (
  backend_id TEXT NOT NULL,
  state      TEXT NOT NULL,
  locations  INTEGER NOT NULL CHECK (locations >= 0),
  PRIMARY KEY (backend_id, state)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER blobs_count_new AFTER INSERT ON blobs BEGIN
  UPDATE totals SET blobs = blobs + 1, blob_bytes = blob_bytes + NEW.size;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER blobs_count_gone AFTER DELETE ON blobs BEGIN
  UPDATE totals SET blobs = blobs - 1, blob_bytes = blob_bytes - OLD.size;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER blobs_count_size AFTER UPDATE OF size ON blobs BEGIN
  UPDATE totals SET blob_bytes = blob_bytes - OLD.size + NEW.size;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER locations_count_new AFTER INSERT ON locations BEGIN
  INSERT INTO location_totals VALUES (NEW.backend_id, NEW.state, 1)
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = locations + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER locations_count_gone AFTER DELETE ON locations BEGIN
  UPDATE location_totals SET locations = locations - 1
    WHERE backend_id = OLD.backend_id AND state = OLD.state;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER locations_count_change AFTER UPDATE OF backend_id, state ON locations BEGIN
  UPDATE location_totals SET locations = locations - 1
    WHERE backend_id = OLD.backend_id AND state = OLD.state;
  INSERT INTO location_totals VALUES (NEW.backend_id, NEW.state, 1)
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = locations + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER uploads_count_new AFTER INSERT ON uploads WHEN NEW.finished IS NULL BEGIN
  UPDATE totals SET uploads = uploads + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER uploads_count_gone AFTER DELETE ON uploads WHEN OLD.finished IS NULL BEGIN
  UPDATE totals SET uploads = uploads - 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER uploads_count_finished AFTER UPDATE OF finished ON uploads
WHEN (OLD.finished IS NULL) <> (NEW.finished IS NULL) BEGIN
  UPDATE totals SET uploads = uploads + iif(NEW.finished IS NULL, 1, -1);
END;
-- +goose StatementEnd
