#!/usr/bin/env bash
# Runs a command beside the real S3 servers that tests talk to, Ceph RGW and
# versitygw, each started once, on free ports of 127.0.0.1, and ended with the
# command. What is missing is installed by the scripts that start them. (PostgreSQL
# is cheap: each test binary that needs one starts its own.)
#
#   with-servers.sh COMMAND [ARG ...]
#
# A server whose address is in the environment already is used and left alone.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/artifactstore-servers-XXXXXX")
say() { echo "with-servers.sh: $*" >&2; }

started=()
finish() {
  for name in "${started[@]}"; do "$here/$name.sh" down "$dir/$name" >&2 || true; done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

# start NAME VARIABLE
start() {
  if [ -n "${!2:-}" ]; then say "$1: using ${2}"; return; fi
  say "$1: starting"
  started+=("$1")
  "$here/$1.sh" up "$dir/$1" --while $$ >&2
  local line
  line=$(grep "^$2=" "$dir/$1/env") || { say "$1: its env file does not say $2"; exit 1; }
  export "$2=${line#*=}"
}

start rgw ARTIFACTSTORE_TEST_RGW
start versitygw ARTIFACTSTORE_TEST_VERSITYGW
"$@"
