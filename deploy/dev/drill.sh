#!/usr/bin/env bash
# The backup and restore drill. A store is filled and backed up while it is served,
# more is stored, and then its database is lost, twice:
#
#   1. the backup is restored, and what came after it is taken from the backend;
#   2. there is no backup: everything is taken from the backend.
#
# Each time the listings are compared with those from before, every blob and package
# is read back and compared byte for byte, and the registry is checked.
#
#   drill.sh [local] [production]
#
# local is SQLite and a directory, production a real PostgreSQL and a real Ceph RGW;
# both without an argument. BIN is the program, bin/artifactstore if not given.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$root/bin/artifactstore}
dir=$(mktemp -d "${TMPDIR:-/tmp}/artifactstore-drill-XXXXXX")
server=
say() { echo "drill: $*"; }
die() {
  say "FAILED: $*" >&2
  [ ! -e "$dir/serve.log" ] || tail -5 "$dir/serve.log" >&2
  exit 1
}
finish() {
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
  "$root/deploy/dev/rgw.sh" down "$dir/rgw" >/dev/null 2>&1 || true
  "$root/deploy/dev/postgres.sh" down "$dir/postgres" >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM
chmod 755 "$dir"

# The two shapes: a configuration, how to back up, lose and restore its database.
start_local() {
  if ! command -v sqlite3 >/dev/null; then
    [ "$(id -u)" = 0 ] || die "sqlite3 is not installed: sudo apt-get install sqlite3"
    apt-get install -y --no-install-recommends sqlite3 >"$dir/apt.log" 2>&1 || die "could not install sqlite3: $(tail -3 "$dir/apt.log")"
  fi
  cat >"$dir/config.yaml" <<YAML
registry: {url: "sqlite:$dir/registry.db"}
backends: [{id: main, type: local, root: $dir/blobs}]
YAML
}
back_up_local() { sqlite3 -cmd '.timeout 60000' "$dir/registry.db" "VACUUM INTO '$dir/backup'"; }
lose_local() { rm "$dir"/registry.db*; }
restore_local() { cp "$dir/backup" "$dir/registry.db"; }

start_production() {
  "$root/deploy/dev/rgw.sh" up "$dir/rgw" --while $$ 2>>"$dir/log"
  "$root/deploy/dev/postgres.sh" up "$dir/postgres" --while $$ >>"$dir/log" 2>&1
  value() { sed -n "s/^$2=//p" "$dir/$1/env"; }
  local rest
  rest=$(value rgw ARTIFACTSTORE_TEST_RGW) # http://ACCESS:SECRET@HOST:PORT/BUCKET
  rest=${rest#http://}
  local keys=${rest%@*} place=${rest#*@}
  export DRILL_ACCESS=${keys%%:*} DRILL_SECRET=${keys#*:} DRILL_POSTGRES
  DRILL_POSTGRES=$(value postgres ARTIFACTSTORE_TEST_POSTGRES)
  cat >"$dir/config.yaml" <<YAML
registry: {url_ref: env:DRILL_POSTGRES}
backends: [{id: main, type: s3, endpoint_url: "http://${place%%/*}", region: default, bucket: ${place#*/}, key_prefix: drill, path_style: true, access_key_ref: env:DRILL_ACCESS, secret_key_ref: env:DRILL_SECRET}]
YAML
}
# admin SQL: in the database beside ours.
admin() { psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -c "$1" "${DRILL_POSTGRES%/artifactstore*}/postgres" >>"$dir/log" 2>&1; }
back_up_production() { pg_dump --format=custom --file="$dir/backup" "$DRILL_POSTGRES"; }
lose_production() { admin 'DROP DATABASE artifactstore WITH (FORCE)'; admin 'CREATE DATABASE artifactstore'; }
restore_production() { pg_restore --exit-on-error --dbname="$DRILL_POSTGRES" "$dir/backup"; }

art() { "$bin" "$@" --config "$dir/config.yaml"; }

serve() {
  url=
  # Not by art: the process in the background would be a shell, and the gateway its child.
  ARTIFACTSTORE_LISTEN=127.0.0.1:0 "$bin" serve --config "$dir/config.yaml" >>"$dir/log" 2>"$dir/serve.log" &
  server=$!
  for _ in $(seq 600); do
    url=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$dir/serve.log" | head -1)
    [ -z "$url" ] || ! curl --silent --fail "$url/readyz" >/dev/null || break
    kill -0 "$server" 2>/dev/null || die "the gateway ended: $(cat "$dir/serve.log")"
    url=
    sleep 0.1
  done
  [ -n "$url" ] || die "the gateway is not ready: $(cat "$dir/serve.log")"
  export ARTIFACTSTORE_SERVER=$url
}
crash() {
  kill -9 "$server"
  wait "$server" 2>/dev/null || true
  server=
  ! curl --silent "$url/livez" >/dev/null || die "the gateway that was killed still answers"
}

# put NAME BYTES: a blob that is different in each round.
put() {
  head -c "$2" /dev/urandom >"$dir/blobs.in/$1"
  "$bin" put "$dir/blobs.in/$1" >>"$dir/log" 2>&1
}
# package VERSION: some files, two of them the same.
package() {
  mkdir -p "$dir/packages.in/$1/doc"
  head -c 300000 /dev/urandom >"$dir/packages.in/$1/program"
  cp "$dir/packages.in/$1/program" "$dir/packages.in/$1/doc/copy"
  echo "this is $1" >"$dir/packages.in/$1/doc/read-me"
  : >"$dir/packages.in/$1/empty"
  "$bin" push "$dir/packages.in/$1" --package "ci/app/$1" --class release --label "version=$1" >>"$dir/log" 2>&1
}
# image NAME: an image as a client of registries pushes it, with a tag.
image() {
  local layer=$dir/images.in/$1.layer manifest=$dir/images.in/$1 digest
  head -c 200000 /dev/urandom >"$layer"
  digest=sha256:$(sha256sum "$layer" | cut -d' ' -f1)
  curl --silent --show-error --fail --data-binary "@$layer" -H 'Content-Type: application/octet-stream' "$url/v2/team/app/blobs/uploads/?digest=$digest" >>"$dir/log"
  local part="{\"mediaType\":\"application/octet-stream\",\"digest\":\"$digest\",\"size\":200000}"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' "$part" "$part" >"$manifest"
  curl --silent --show-error --fail -X PUT --data-binary "@$manifest" -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' "$url/v2/team/app/manifests/$1" >>"$dir/log"
}

# list: what the store shows, without times and without the names that only a
# database knows.
list() { "$bin" ls --long | awk 'NR > 1 { sub(/^(team\/app|recovered)@/, "image@", $1); print $1, $2, $3, $9, $10 }' | sort; }

# same EARLY LATE: everything that was ever put in is read back, the images from
# these repositories.
same() {
  local file name digest
  list | diff "$dir/listing" - || die "the listing is another"
  for file in "$dir"/blobs.in/* "$dir"/images.in/*.layer; do
    digest=$(sha256sum "$file" | cut -d' ' -f1)
    curl --silent --show-error --fail "$url/v1/blobs/sha256:$digest" | cmp - "$file" || die "$(basename "$file") is not what it was"
  done
  for file in "$dir"/packages.in/*; do
    name=$(basename "$file")
    rm -rf "$dir/out"
    "$bin" pull "ci/app/$name" "$dir/out" >>"$dir/log" 2>&1 || die "ci/app/$name cannot be pulled"
    diff -r "$file" "$dir/out" || die "ci/app/$name is not what it was"
  done
  for name in "early $1" "late $2"; do
    file=$dir/images.in/${name% *}
    digest=$(sha256sum "$file" | cut -d' ' -f1)
    curl --silent --show-error --fail "$url/v2/${name#* }/manifests/sha256:$digest" | cmp - "$file" || die "there is no image $name"
  done
  say "   the listing is the same, and every byte of $(ls "$dir/blobs.in" | wc -l) blobs, $(ls "$dir/packages.in" | wc -l) packages, $(ls "$dir/images.in" | grep -vc layer) images"
}

# rebuild [FLAG ...]: from the backend, and the registry is checked.
rebuild() {
  local began=$EPOCHREALTIME
  art registry rebuild --from-backend main "$@" >"$dir/report" 2>>"$dir/log" || { cat "$dir/report"; die "rebuild: $(tail -3 "$dir/log")"; }
  say "   rebuilt in $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $began }") s:"
  grep -E '^ .*[1-9][0-9,]*$' "$dir/report" | head -9
  art registry check >>"$dir/log" 2>&1 || die "the registry is not right: $(tail -3 "$dir/log")"
}

drill() {
  say "$1: starting"
  rm -rf "$dir"/*.in "$dir/backup"
  mkdir "$dir/blobs.in" "$dir/packages.in" "$dir/images.in"
  "start_$1"
  serve
  for i in $(seq 20); do put "early-$i" $((i * 1000)); done
  put early-large 20000000
  package 1.0; package 1.1; image early
  say "   backup, beside the gateway"
  "back_up_$1"
  for i in $(seq 10); do put "late-$i" $((i * 700)); done
  package 2.0; image late
  list >"$dir/listing"
  crash
  say "1. the database is lost; the backup is restored; what came later is added"
  "lose_$1"; "restore_$1"
  art registry check >>"$dir/log" 2>&1 || die "the backup is not right: $(tail -3 "$dir/log")"
  rebuild --missing --oci-repository recovered
  serve
  [ "$(curl --silent --show-error --fail "$url/v2/team/app/manifests/early" | sha256sum)" = "$(sha256sum <"$dir/images.in/early")" ] || die "the tag of the backup is gone"
  same team/app recovered
  crash
  say "2. the database is lost, and there is no backup"
  "lose_$1"
  rebuild --oci-repository recovered
  serve
  same recovered recovered
  crash
  say "$1: passed"
}

[ $# -gt 0 ] || set -- local production
for shape in "$@"; do
  case $shape in
    local | production) drill "$shape" ;;
    *) die "unknown shape $shape" ;;
  esac
done
