-- Packages, the blobs they refer to, and the tags of repositories.
--
-- All of it is views. A key is the position of the event that made the row, as
-- in blobs. Texts sort by their bytes.

-- +goose Up

-- refs is how many rows of package_files and manifests of packages name the blob.
-- The statements that write those keep it.
ALTER TABLE blobs ADD COLUMN refs INTEGER NOT NULL DEFAULT 0 CHECK (refs >= 0);

-- packages: a manifest of a repository is one of format oci, with the repository
-- as its name and the manifest's digest as its version.
CREATE TABLE packages (
  position        INTEGER PRIMARY KEY CHECK (position >= 1), -- of the created event
  producer        TEXT NOT NULL CHECK (producer <> ''),
  name            TEXT NOT NULL CHECK (name <> ''),
  version         TEXT NOT NULL CHECK (version <> ''),
  format          TEXT NOT NULL CHECK (format IN ('files', 'oci')),
  state           TEXT NOT NULL CHECK (state IN ('open', 'sealed')),
  retention_class TEXT NOT NULL CHECK (retention_class <> ''),
  manifest        INTEGER REFERENCES blobs (position),
  media_type      TEXT CHECK (media_type <> ''),
  artifact_type   TEXT CHECK (artifact_type <> ''),
  subject         TEXT CHECK (subject <> ''),            -- as the manifest writes it
  named           BLOB CHECK (length(named) IN (32, 64)), -- BLAKE3 or SHA-512 that it was pushed by
  annotations     TEXT CHECK (json_type(annotations) = 'object'),
  revision        INTEGER NOT NULL CHECK (revision >= 1), -- how many changes, its creation among them
  created_at      INTEGER NOT NULL,
  changed_at      INTEGER NOT NULL CHECK (changed_at >= created_at),
  UNIQUE (producer, name, version),
  CHECK ((state = 'sealed') = (manifest IS NOT NULL)),
  CHECK ((format = 'oci') = (media_type IS NOT NULL)),
  CHECK (format = 'oci' OR (artifact_type IS NULL AND subject IS NULL AND named IS NULL AND annotations IS NULL)),
  CHECK (format <> 'oci' OR state = 'sealed'),
  CHECK (format <> 'oci' OR producer = substr(name, 1, instr(name || '/', '/') - 1)),
  CHECK ((format = 'oci') = (instr(version, ':') > 0))
) STRICT;
CREATE INDEX packages_manifest ON packages (manifest, name) WHERE manifest IS NOT NULL;
CREATE INDEX packages_subject ON packages (name, subject, version, artifact_type) WHERE subject IS NOT NULL;

-- package_files: the foreign key is why no file names an absent blob. The
-- repository of an oci package stands here too, for a blob such as the empty
-- configuration may be in a million packages: whether one of them is in a
-- repository must not take a walk through all.
CREATE TABLE package_files (
  package    INTEGER NOT NULL REFERENCES packages (position) ON DELETE CASCADE,
  path       TEXT NOT NULL CHECK (path <> ''),
  blob       INTEGER NOT NULL REFERENCES blobs (position),
  repository TEXT CHECK (repository <> ''), -- NULL for a package of format files
  PRIMARY KEY (package, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_files_blob ON package_files (blob, repository, package);

-- package_labels is in the order of a list of packages by label.
CREATE TABLE package_labels (
  key      TEXT NOT NULL CHECK (key <> '' AND instr(key, '=') = 0),
  value    TEXT NOT NULL,
  producer TEXT NOT NULL,
  name     TEXT NOT NULL,
  version  TEXT NOT NULL,
  package  INTEGER NOT NULL REFERENCES packages (position) ON DELETE CASCADE,
  PRIMARY KEY (key, value, producer, name, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX package_labels_package ON package_labels (package, key);

CREATE TABLE tags (
  repository TEXT NOT NULL CHECK (repository <> ''),
  tag        TEXT NOT NULL CHECK (tag <> ''),
  package    INTEGER NOT NULL REFERENCES packages (position) ON DELETE CASCADE,
  named      BLOB CHECK (length(named) IN (32, 64)), -- BLAKE3 or SHA-512 that it was pushed by
  set_at     INTEGER NOT NULL,
  PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_package ON tags (package);

-- Whether a repository has a lease that lasts.
CREATE INDEX leases_repository ON leases (repository, until) WHERE repository <> '';

-- repositories is kept by the triggers below, so that the catalog reads one row a
-- repository, however many manifests it has.
CREATE TABLE repositories (
  name      TEXT NOT NULL PRIMARY KEY,
  manifests INTEGER NOT NULL CHECK (manifests > 0)
) STRICT, WITHOUT ROWID;

ALTER TABLE totals ADD COLUMN open_packages INTEGER NOT NULL DEFAULT 0 CHECK (open_packages >= 0);
ALTER TABLE totals ADD COLUMN sealed_packages INTEGER NOT NULL DEFAULT 0 CHECK (sealed_packages >= 0);

-- +goose StatementBegin
CREATE TRIGGER packages_count_new AFTER INSERT ON packages BEGIN
  UPDATE totals SET open_packages = open_packages + (NEW.state = 'open'),
    sealed_packages = sealed_packages + (NEW.state = 'sealed');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER packages_count_gone AFTER DELETE ON packages BEGIN
  UPDATE totals SET open_packages = open_packages - (OLD.state = 'open'),
    sealed_packages = sealed_packages - (OLD.state = 'sealed');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER packages_count_change AFTER UPDATE OF state ON packages BEGIN
  UPDATE totals SET open_packages = open_packages - (OLD.state = 'open') + (NEW.state = 'open'),
    sealed_packages = sealed_packages - (OLD.state = 'sealed') + (NEW.state = 'sealed');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER repositories_gain AFTER INSERT ON packages WHEN NEW.format = 'oci' BEGIN
  INSERT INTO repositories VALUES (NEW.name, 1) ON CONFLICT (name) DO UPDATE SET manifests = manifests + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER repositories_lose AFTER DELETE ON packages WHEN OLD.format = 'oci' BEGIN
  DELETE FROM repositories WHERE name = OLD.name AND manifests = 1;
  UPDATE repositories SET manifests = manifests - 1 WHERE name = OLD.name;
END;
-- +goose StatementEnd
