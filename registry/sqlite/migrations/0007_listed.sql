-- Lists of packages ask of many packages that do not pass, and read this index alone.

-- +goose Up

CREATE INDEX packages_listed ON packages (producer, name, version, format, state, retention_class);
