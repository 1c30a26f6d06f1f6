#!/usr/bin/env bash
# Runs a command whose temporary files are in memory, where the machine has room for
# them there: what waits for a disk otherwise takes three times as long. For runs
# that look for something else than what a disk does.
#
#   in-memory.sh COMMAND [ARG ...]
set -euo pipefail

readonly memory=/dev/shm want_kib=$((4 << 20))
say() { echo "in-memory.sh: $*" >&2; }

free_kib() { df --output=avail "$memory" 2>/dev/null | tail -1; }

if [ "$(stat -f -c %T "$memory" 2>/dev/null)" != tmpfs ] || [ ! -w "$memory" ] || [ "$(free_kib)" -lt "$want_kib" ]; then
  say "no 4 GiB free in $memory: temporary files are where they always are"
  exec "$@"
fi
dir=$(mktemp -d "$memory/artifactstore-XXXXXX")
chmod 711 "$dir" # PostgreSQL runs as another user where this is root
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
say "temporary files are in $dir, which goes at the end"
# What is built stays on the disk: it is large.
GOTMPDIR=${GOTMPDIR:-${TMPDIR:-/tmp}} TMPDIR=$dir "$@"
