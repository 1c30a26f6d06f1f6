-- +goose Up

-- Who may do what, as far as it is not configuration.

-- A view: what is known of tokens whose text is kept nowhere. Who sends one is looked up by its hash.
CREATE TABLE tokens (
    id         text        COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    principal  text        NOT NULL CHECK (principal <> ''),
    sha256     bytea       NOT NULL UNIQUE CHECK (length(sha256) = 32),
    grants     text[]      NOT NULL CHECK (cardinality(grants) > 0),
    created_by text        NOT NULL CHECK (created_by <> ''),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,                                   -- NULL: never
    revoked_at timestamptz CHECK (revoked_at >= created_at)   -- NULL: not
);

-- Secrets that the gateways share. They are no view: no event makes them, and nothing replays them.
CREATE TABLE signing_keys (
    id         text        COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    secret     bytea       NOT NULL CHECK (length(secret) > 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
