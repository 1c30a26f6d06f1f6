-- Which finished uploads answer with a blob.

-- +goose Up

CREATE INDEX uploads_finished ON uploads (finished, expires_at, id) WHERE finished IS NOT NULL;
