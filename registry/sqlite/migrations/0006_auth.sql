-- Who may do what, as far as it is not configuration.

-- +goose Up

-- tokens is a view: what is known of tokens whose text is kept nowhere. Who sends one
-- is looked up by its hash.
CREATE TABLE tokens (
  id         TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  principal  TEXT NOT NULL CHECK (principal <> ''),
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  grants     TEXT NOT NULL CHECK (json_type(grants) = 'array'), -- of texts
  created_by TEXT NOT NULL CHECK (created_by <> ''),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,                                           -- NULL: never
  revoked_at INTEGER CHECK (revoked_at >= created_at)           -- NULL: not
) STRICT, WITHOUT ROWID;

-- signing_keys are secrets that the gateways share: operational rows, never replayed.
CREATE TABLE signing_keys (
  id         TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  secret     BLOB NOT NULL CHECK (length(secret) > 0),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
