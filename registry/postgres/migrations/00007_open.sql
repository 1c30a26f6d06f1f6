-- +goose Up

-- A list of what is open reads nothing else: few of many packages are.
CREATE INDEX packages_open ON packages (producer, name, version) WHERE state = 'open';
