#!/usr/bin/env bash
# The gateway before a real Ceph RGW beside the SDK straight before the same, and
# PostgreSQL beside SQLite, in one run: a table of rates, CPU time and ratios with their
# targets. Arguments go to the program (deploy/bench). Starts and ends RGW and
# PostgreSQL. RGW keeps its bytes on the disk, as it does wherever it is used; with
# STORE=memstore in memory, where nothing but the processors sets the rate, which the
# service, the gateway and the client share here. Wants a quiet machine, 16 GiB of
# memory, 12 minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
make --no-print-directory build
go build -trimpath -o bin/bench ./deploy/bench
dir=$(mktemp -d "${TMPDIR:-/tmp}/artifactstore-bench-XXXXXX")
finish() {
  for name in rgw postgres; do
    [ ! -e "$dir/$name" ] || "deploy/dev/$name.sh" down "$dir/$name" >&2 || true
  done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM
deploy/dev/rgw.sh up "$dir/rgw" --store "${STORE:-bluestore}" --while $$
chmod 755 "$dir" # PostgreSQL runs as another user where this is root
deploy/dev/postgres.sh up "$dir/postgres" --while $$ >&2
. "$dir/rgw/env"
. "$dir/postgres/env"
echo "$(date -u +%F), RGW on ${STORE:-bluestore}"
bin/bench -s3 "$ARTIFACTSTORE_TEST_RGW" -postgres "$ARTIFACTSTORE_TEST_POSTGRES" "$@"
