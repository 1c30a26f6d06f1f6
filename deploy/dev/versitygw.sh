#!/usr/bin/env bash
# versitygw, a second S3 server with opinions of its own, over a folder of this machine.
#
#   versitygw.sh up DIR [--while PID]
#   versitygw.sh down DIR      end it and remove the folder
#
# up writes DIR/env: ARTIFACTSTORE_TEST_VERSITYGW=http://ACCESS:SECRET@127.0.0.1:PORT/BUCKET
# and the same in parts. The program is built once, into the user's cache folder
# (GOBIN of its own), where it is missing.
set -euo pipefail

readonly version=v1.8.0 access=dev-access-key secret=dev-secret-key bucket=artifacts
readonly wait_seconds=60
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/artifactstore/versitygw-$version

say() { echo "versitygw.sh: $*" >&2; }
die() { say "$*"; exit 1; }

install_missing() {
  [ ! -x "$cache/versitygw" ] || return 0
  mkdir -p "$cache"
  (
    flock 9
    [ ! -x "$cache/versitygw" ] || exit 0
    say "building versitygw $version into $cache (a minute or two)"
    # From outside any module, so that the project's go.mod has no say in it.
    cd "$cache" && GOFLAGS=-mod=mod GOBIN=$cache go install "github.com/versity/versitygw/cmd/versitygw@$version" >build.log 2>&1 ||
      { tail -20 build.log >&2; exit 1; }
  ) 9>"$cache/lock" || die "could not build versitygw: GOBIN=$cache go install github.com/versity/versitygw/cmd/versitygw@$version"
}

free_port() {
  local p
  while :; do
    p=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }
  done
}

alive() { [ -f "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

up() {
  local while_pid= port deadline
  while [ $# -gt 0 ]; do
    case $1 in
      --while) while_pid=$2; shift 2 ;;
      *) die "unknown argument $1" ;;
    esac
  done
  ! alive || die "$dir holds a running server: versitygw.sh down $dir"
  install_missing
  port=$(free_port)
  # A bucket of the posix backend is a folder below its root.
  mkdir -p "$dir/data/$bucket" "$dir/iam"
  ROOT_ACCESS_KEY=$access ROOT_SECRET_KEY=$secret setsid "$cache/versitygw" --port "127.0.0.1:$port" --iam-dir "$dir/iam" \
    --region us-east-1 --quiet posix "$dir/data" >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  deadline=$((SECONDS + wait_seconds))
  until curl -s -m 2 -o /dev/null "http://127.0.0.1:$port/"; do
    alive || { tail -5 "$dir/log" >&2; die "versitygw ended"; }
    [ $SECONDS -lt $deadline ] || { tail -5 "$dir/log" >&2; die "waited $wait_seconds s for versitygw"; }
    sleep 0.05
  done
  cat >"$dir/env" <<ENV
ARTIFACTSTORE_TEST_VERSITYGW=http://$access:$secret@127.0.0.1:$port/$bucket
VERSITYGW_ENDPOINT_URL=http://127.0.0.1:$port
VERSITYGW_ACCESS_KEY=$access
VERSITYGW_SECRET_KEY=$secret
VERSITYGW_BUCKET=$bucket
ENV
  if [ -n "$while_pid" ]; then
    (while kill -0 "$while_pid" 2>/dev/null && [ -e "$dir/env" ]; do sleep 1; done
     [ ! -e "$dir/env" ] || "$self" down "$dir") </dev/null >/dev/null 2>&1 &
  fi
  say "versitygw $version at http://127.0.0.1:$port; keys in $dir/env"
}

down() {
  local deadline=$((SECONDS + 10))
  [ -f "$dir/pid" ] || die "$dir holds no server"
  rm -f "$dir/env"
  ! alive || kill "$(cat "$dir/pid")"
  while alive; do
    [ $SECONDS -lt $deadline ] || kill -9 "$(cat "$dir/pid")" 2>/dev/null || true
    sleep 0.05
  done
  rm -rf "$dir"
}

self=$(realpath "$0")
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$self" >&2; exit 2; }
verb=$1 dir=$(realpath -m "$2")
shift 2
case $verb in
  up) up "$@" ;;
  down) down ;;
  *) die "unknown verb $verb" ;;
esac
