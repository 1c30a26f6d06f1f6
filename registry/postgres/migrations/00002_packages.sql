-- +goose Up

-- Packages, the blobs they refer to, and the tags of repositories: views. Texts that lists are in the order of are
-- compared by their bytes, whatever the database's collation is.

-- How many rows of package_files and manifests of packages name the blob; the statements that write those keep it.
ALTER TABLE blobs ADD COLUMN refs bigint NOT NULL DEFAULT 0 CHECK (refs >= 0);

-- A package. One of format oci is a manifest: its name is the repository, its version the manifest's digest.
CREATE TABLE packages (
    id              bigint      PRIMARY KEY CHECK (id >= 1), -- position of its created event
    producer        text        COLLATE "C" NOT NULL CHECK (producer <> ''),
    name            text        COLLATE "C" NOT NULL CHECK (name <> ''),
    version         text        COLLATE "C" NOT NULL CHECK (version <> ''),
    format          text        NOT NULL CHECK (format IN ('files', 'oci')),
    state           text        NOT NULL CHECK (state IN ('open', 'sealed')),
    retention_class text        NOT NULL CHECK (retention_class <> ''),
    labels          jsonb       CHECK (jsonb_typeof(labels) = 'object'),
    manifest        bytea       REFERENCES blobs (sha256) DEFERRABLE, -- no package of an absent manifest
    media_type      text        CHECK (media_type <> ''),
    artifact_type   text        CHECK (artifact_type <> ''),
    subject         text        CHECK (subject <> ''),                 -- as the manifest writes it
    named           bytea       CHECK (length(named) IN (32, 64)),     -- BLAKE3 or SHA-512 that it was pushed by
    annotations     bytea,                                             -- a JSON object in UTF-8; jsonb takes no U+0000
    revision        bigint      NOT NULL CHECK (revision >= 1),        -- how many changes, its creation among them
    created_at      timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL CHECK (changed_at >= created_at),
    UNIQUE (producer, name, version),
    CHECK ((state = 'sealed') = (manifest IS NOT NULL)),
    CHECK ((format = 'oci') = (media_type IS NOT NULL)),
    CHECK (format = 'oci' OR (artifact_type IS NULL AND subject IS NULL AND named IS NULL AND annotations IS NULL)),
    CHECK (format <> 'oci' OR (state = 'sealed' AND producer = split_part(name, '/', 1))),
    CHECK ((format = 'oci') = (strpos(version, ':') > 0))
);
CREATE INDEX packages_manifest ON packages (manifest, name) WHERE manifest IS NOT NULL;
CREATE INDEX packages_repository ON packages (name, version) WHERE format = 'oci';
CREATE INDEX packages_subject ON packages (name, subject, version, artifact_type) WHERE subject IS NOT NULL;

-- The files of a package. The repository of one of format oci stands here too: a blob such as the empty configuration
-- may be in a million packages, and whether one of them is in a repository must not take a walk through all.
CREATE TABLE package_files (
    package    bigint NOT NULL REFERENCES packages (id) ON DELETE CASCADE DEFERRABLE,
    path       text   COLLATE "C" NOT NULL CHECK (path <> ''),
    blob       bytea  NOT NULL REFERENCES blobs (sha256) DEFERRABLE, -- no file of an absent blob
    repository text   CHECK (repository <> ''),                      -- NULL for a package of format files
    PRIMARY KEY (package, path)
);
CREATE INDEX package_files_blob ON package_files (blob, repository, package);

CREATE TABLE tags (
    repository text        COLLATE "C" NOT NULL CHECK (repository <> ''),
    tag        text        COLLATE "C" NOT NULL CHECK (tag <> ''),
    package    bigint      NOT NULL REFERENCES packages (id) ON DELETE CASCADE DEFERRABLE, -- no tag of an absent manifest
    named      bytea       CHECK (length(named) IN (32, 64)), -- BLAKE3 or SHA-512 that it was pushed by
    set_at     timestamptz NOT NULL,
    PRIMARY KEY (repository, tag)
);
CREATE INDEX tags_package ON tags (package);

CREATE TABLE package_totals (
    state    text   PRIMARY KEY CHECK (state IN ('open', 'sealed')),
    packages bigint NOT NULL CHECK (packages >= 0)
) WITH (fillfactor = 10);
INSERT INTO package_totals VALUES ('open', 0), ('sealed', 0);

-- Whether a repository has a lease that lasts.
CREATE INDEX leases_repository ON leases (repository, until) WHERE repository <> '';
