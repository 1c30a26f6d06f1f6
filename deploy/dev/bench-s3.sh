#!/usr/bin/env bash
# The gateway before a real Ceph RGW beside the SDK straight before the same, and
# PostgreSQL beside SQLite, in one run: tables of rates, CPU time and ratios with their
# targets. Arguments go to the program (deploy/bench); ONLY="transfers together" takes
# some of the parts. Starts and ends RGW and PostgreSQL. RGW keeps its bytes on the disk,
# as it does wherever it is used; with STORE=memstore in memory. Wants a quiet machine,
# 16 GiB of memory, 20 minutes.
#
# "transfers" gives half of the processors to RGW and the others to the gateway, the SDK
# and the client, as where the service is another machine: both sides are compared
# with the same there. "together" lets all of them share all, and shows beside the gateway
# what a relay costs there that looks at no byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
parts=${ONLY:-puts appends transfers together}
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

# on PROCESSORS moves RGW and all its threads.
on() {
  local pid
  for pid in "$dir"/rgw/*.pid; do taskset -apc "$1" "$(cat "$pid")" >/dev/null; done
}
last=$(($(nproc) - 1)) half=$(($(nproc) / 2))
[ "$last" -gt 0 ] || { echo "bench-s3.sh: wants two processors" >&2; exit 1; }
all=0-$last theirs=0-$((half - 1)) ours=$half-$last

missed=0
for part in $parts; do
  echo
  if [ "$part" = transfers ]; then
    echo "## $part: $(date -u +%F), RGW on ${STORE:-bluestore} on processors $theirs, what is measured on $ours"
    on "$theirs"
    use=$ours
  else
    echo "## $part: $(date -u +%F), RGW on ${STORE:-bluestore}, all on processors $all"
    on "$all"
    use=$all
  fi
  taskset -c "$use" bin/bench -s3 "$ARTIFACTSTORE_TEST_RGW" -postgres "$ARTIFACTSTORE_TEST_POSTGRES" -only "$part" "$@" || missed=1
done
exit $missed
