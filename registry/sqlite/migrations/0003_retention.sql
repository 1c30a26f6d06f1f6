-- What keeps blobs and packages, what is being removed, and who does the work.

-- +goose Up

-- dropped is when the blob lost its last reference or had a lease released, the
-- later of both: what is collectable must have been idle since.
ALTER TABLE blobs ADD COLUMN dropped INTEGER CHECK (dropped >= stored_at);
ALTER TABLE locations ADD COLUMN verified_at INTEGER CHECK (verified_at >= recorded_at);

-- What expires, longest unchanged first.
CREATE INDEX packages_class ON packages (retention_class, changed_at);

-- holds is a view. A package that has a row here cannot be deleted: the foreign
-- key says so. root is the package that was put under the hold, and has a row too.
CREATE TABLE holds (
  package INTEGER NOT NULL REFERENCES packages (position),
  root    INTEGER NOT NULL REFERENCES packages (position),
  hold    TEXT NOT NULL CHECK (hold <> ''),
  actor   TEXT NOT NULL CHECK (actor <> ''),
  held_at INTEGER NOT NULL,
  PRIMARY KEY (package, root, hold)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_root ON holds (root, hold);

-- removals is a view: the last removal of a blob's object from a backend, under
-- way or not. An orphan has no row in blobs, hence the digest. What has ended
-- stays: bytes that were committed before it ended may have gone with it.
CREATE TABLE removals (
  sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
  backend_id TEXT NOT NULL CHECK (backend_id <> ''),
  cause      TEXT NOT NULL CHECK (cause IN ('unneeded', 'moved', 'orphan')),
  since      INTEGER NOT NULL,
  position   INTEGER NOT NULL CHECK (position >= 1),  -- of its last event
  ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
  PRIMARY KEY (sha256, backend_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX removals_under_way ON removals (backend_id, sha256) WHERE ended = 0;

-- claims are whose turn it is to do a work, and what is known of it: operational
-- rows, never replayed. A name stays, so that its tokens only grow.
CREATE TABLE claims (
  name   TEXT NOT NULL PRIMARY KEY,
  token  INTEGER NOT NULL CHECK (token >= 1), -- of the last claim
  holder TEXT NOT NULL,                       -- for people
  ends   INTEGER,                             -- NULL once it is released
  state  BLOB                                 -- NULL where none was set
) STRICT;

-- A removal counts as a location of its backend in state removing.
-- +goose StatementBegin
CREATE TRIGGER removals_count_new AFTER INSERT ON removals WHEN NEW.ended = 0 BEGIN
  INSERT INTO location_totals VALUES (NEW.backend_id, 'removing', 1)
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = locations + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER removals_count_gone AFTER DELETE ON removals WHEN OLD.ended = 0 BEGIN
  UPDATE location_totals SET locations = locations - 1 WHERE backend_id = OLD.backend_id AND state = 'removing';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER removals_count_change AFTER UPDATE OF ended ON removals WHEN OLD.ended <> NEW.ended BEGIN
  INSERT INTO location_totals VALUES (NEW.backend_id, 'removing', 1 - NEW.ended)
    ON CONFLICT (backend_id, state) DO UPDATE SET locations = locations + OLD.ended - NEW.ended;
END;
-- +goose StatementEnd
