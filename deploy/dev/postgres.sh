#!/usr/bin/env bash
# PostgreSQL for development, in a folder of this machine, on a port of 127.0.0.1.
#
#   postgres.sh up DIR [--while PID]
#   postgres.sh down DIR      end it and remove the folder
#
# up prints the URL of an empty database and writes it to DIR/env:
# ARTIFACTSTORE_TEST_POSTGRES=postgres://… With --while the server ends when that
# process does. Whoever may connect to the port is let in: no secret stands here.
# PostgreSQL refuses to run as root: for root it runs as the user postgres. Where its
# programs are missing, root on Debian installs them.
set -euo pipefail

readonly wait_seconds=60 database=artifactstore

say() { echo "postgres.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# programs prints the folder of the newest server's programs.
programs() {
  local found
  found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -1)
  if [ -n "$found" ] && [ -x "$found/initdb" ]; then echo "$found"; return; fi
  found=$(command -v initdb) && dirname "$found"
}

install_missing() {
  ! programs >/dev/null || return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    die "PostgreSQL is not installed: sudo apt-get install postgresql"
  say "PostgreSQL is not installed; running apt-get install postgresql"
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 postgresql >&2
}

# as_server runs a command as the user that PostgreSQL may run as.
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups -- "$@"; else "$@"; fi
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
  local while_pid= port bin url deadline
  while [ $# -gt 0 ]; do
    case $1 in
      --while) while_pid=$2; shift 2 ;;
      *) die "unknown argument $1" ;;
    esac
  done
  ! alive || die "$dir holds a running server: postgres.sh down $dir"
  install_missing
  bin=$(programs)
  port=$(free_port)
  url="postgres://postgres@127.0.0.1:$port/$database"
  mkdir -p "$dir"
  mkdir "$dir/server" 2>/dev/null || die "$dir/server is there already: postgres.sh down $dir"
  [ "$(id -u)" != 0 ] || chown postgres: "$dir/server"
  cd "$dir" # not a folder that the user postgres may not enter
  as_server test -w "$dir/server" || die "the user postgres cannot enter $dir"
  as_server "$bin/initdb" --auth=trust --username=postgres --encoding=UTF8 --locale=C --pgdata="$dir/server/data" >"$dir/initdb.log" 2>&1 ||
    { tail -5 "$dir/initdb.log" >&2; die "initdb failed"; }
  setsid bash -c 'echo $$ >"$1/pid"; shift; exec "$@"' _ "$dir" \
    $([ "$(id -u)" != 0 ] || echo setpriv --reuid postgres --regid postgres --clear-groups --) \
    "$bin/postgres" -D "$dir/server/data" -k '' -h 127.0.0.1 -p "$port" >"$dir/log" 2>&1 </dev/null &
  deadline=$((SECONDS + wait_seconds))
  until "$bin/createdb" -h 127.0.0.1 -p "$port" -U postgres "$database" 2>"$dir/createdb.log"; do
    [ ! -f "$dir/pid" ] || alive || { tail -5 "$dir/log" >&2; die "postgres ended"; }
    [ $SECONDS -lt $deadline ] || { tail -5 "$dir/log" "$dir/createdb.log" >&2; die "waited $wait_seconds s for postgres"; }
    sleep 0.05
  done
  echo "ARTIFACTSTORE_TEST_POSTGRES=$url" >"$dir/env"
  if [ -n "$while_pid" ]; then
    (while kill -0 "$while_pid" 2>/dev/null && [ -e "$dir/env" ]; do sleep 1; done
     [ ! -e "$dir/env" ] || "$self" down "$dir") </dev/null >/dev/null 2>&1 &
  fi
  say "$("$bin/postgres" --version) at the URL below; it is in $dir/env too"
  echo "$url"
}

down() {
  local deadline=$((SECONDS + 10))
  [ -f "$dir/pid" ] || die "$dir holds no server"
  rm -f "$dir/env"
  ! alive || kill -INT "$(cat "$dir/pid")" # fast shutdown
  while alive; do
    [ $SECONDS -lt $deadline ] || kill -QUIT "$(cat "$dir/pid")" 2>/dev/null || true
    sleep 0.05
  done
  rm -rf "$dir"
}

self=$(realpath "$0")
[ $# -ge 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$self" >&2; exit 2; }
verb=$1 dir=$(realpath -m "$2")
shift 2
case $verb in
  up) up "$@" ;;
  down) down ;;
  *) die "unknown verb $verb" ;;
esac
