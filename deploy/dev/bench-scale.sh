#!/usr/bin/env bash
# What a store answers, and how fast, with a million blobs and 100,000 packages in it,
# on SQLite and on PostgreSQL: a table with targets (deploy/scale). Arguments go to the
# program. Wants a quiet machine, 8 GiB of disk in TMPDIR, a quarter of an hour.
set -euo pipefail
cd "$(dirname "$0")/../.."
go build -trimpath -o bin/scale ./deploy/scale
dir=$(mktemp -d "${TMPDIR:-/tmp}/artifactstore-scale-XXXXXX")
chmod 755 "$dir" # PostgreSQL may run as another user
finish() {
  deploy/dev/postgres.sh down "$dir/postgres" >&2 || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM
deploy/dev/postgres.sh up "$dir/postgres" --while $$ >&2
url=$(sed -n 's/^ARTIFACTSTORE_TEST_POSTGRES=//p' "$dir/postgres/env")
bin/scale -dir "$dir" "$@" "sqlite:$dir/registry.db" "$url"
