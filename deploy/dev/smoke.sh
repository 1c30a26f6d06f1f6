#!/usr/bin/env bash
# The same files through curl, first into a directory and an SQLite file, then into
# a real Ceph RGW and a real PostgreSQL, with nothing changed but the configuration
# file; then a rule is added, and a release goes to the other backend. What lies on
# RGW is listed with an S3 client that is not ours. The files are sent as blobs, and
# as a package, which is sealed.
#
#   make smoke
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$root/bin/artifactstore
dir=$(mktemp -d "${TMPDIR:-/tmp}/artifactstore-smoke-XXXXXX")
server=
say() { echo "smoke: $*"; }
die() { say "FAILED: $*" >&2; exit 1; }
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  "$root/deploy/dev/rgw.sh" down "$dir/rgw" >/dev/null 2>&1 || true
  "$root/deploy/dev/postgres.sh" down "$dir/postgres" >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM
chmod 755 "$dir"

if ! command -v s3cmd >/dev/null; then
  [ "$(id -u)" = 0 ] || die "s3cmd is not installed: sudo apt-get install s3cmd"
  say "installing s3cmd"
  { apt-get install -y --no-install-recommends s3cmd || { apt-get update && apt-get install -y --no-install-recommends s3cmd; }; } >"$dir/apt.log" 2>&1 ||
    die "could not install s3cmd: $(tail -3 "$dir/apt.log")"
fi

say "starting Ceph RGW and PostgreSQL"
"$root/deploy/dev/rgw.sh" up "$dir/rgw" --while $$ 2>>"$dir/log"
"$root/deploy/dev/postgres.sh" up "$dir/postgres" --while $$ >>"$dir/log" 2>&1
value() { sed -n "s/^$2=//p" "$dir/$1/env"; }
rgw=$(value rgw ARTIFACTSTORE_TEST_RGW)     # http://ACCESS:SECRET@HOST:PORT/BUCKET
rest=${rgw#http://}
keys=${rest%@*} place=${rest#*@}
export SMOKE_ACCESS=${keys%%:*} SMOKE_SECRET=${keys#*:}
export SMOKE_POSTGRES
SMOKE_POSTGRES=$(value postgres ARTIFACTSTORE_TEST_POSTGRES)
endpoint=http://${place%%/*} bucket=${place#*/}

# Real files: two programs, a text, a file of one byte and an empty one.
mkdir "$dir/files"
cp "$(go env GOROOT)/bin/gofmt" "$bin" "$root/README.md" "$dir/files/"
printf x >"$dir/files/one-byte"
: >"$dir/files/empty"

local_backend="{id: local, type: local, root: $dir/blobs}"
rgw_backend="{id: rgw, type: s3, endpoint_url: $endpoint, region: default, bucket: $bucket, key_prefix: smoke, path_style: true, access_key_ref: env:SMOKE_ACCESS, secret_key_ref: env:SMOKE_SECRET}"
cat >"$dir/local.yaml" <<YAML
registry: {url: "sqlite:$dir/registry.db"}
backends: [$local_backend]
YAML
cat >"$dir/production.yaml" <<YAML
registry: {url_ref: env:SMOKE_POSTGRES}
backends: [$rgw_backend]
YAML
cat >"$dir/routed.yaml" <<YAML
registry: {url: "sqlite:$dir/registry.db"}
backends: [$local_backend, $rgw_backend]
routing: {default: local, rules: [{retention_class: release, backend: rgw}]}
YAML

# serve CONFIG: start a gateway on a port of its own; its address is in $url.
serve() {
  "$bin" config check --probe --config "$1" >>"$dir/log" 2>&1 || die "config check --probe refuses $1: $(tail -5 "$dir/log")"
  ARTIFACTSTORE_LISTEN=127.0.0.1:0 "$bin" serve --config "$1" >>"$dir/log" 2>"$dir/serve.log" &
  server=$!
  for _ in $(seq 200); do
    url=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$dir/serve.log" | head -1)
    [ -n "$url" ] && curl --silent --fail "$url/readyz" >/dev/null && return
    kill -0 "$server" 2>/dev/null || die "the gateway ended: $(cat "$dir/serve.log")"
    sleep 0.1
  done
  die "the gateway is not ready: $(cat "$dir/serve.log")"
}
stop() { kill "$server"; wait "$server" || die "the gateway did not stop cleanly: $(tail -3 "$dir/serve.log")"; server=; }

# upload BACKEND [QUERY]: send every file and read it back, whole and in part.
upload() {
  local file digest answer
  for file in "$dir"/files/*; do
    digest=$(sha256sum "$file" | cut -d' ' -f1)
    answer=$(curl --silent --show-error --fail -T "$file" "$url/v1/blobs/sha256:$digest${2:-}")
    case $answer in *"\"backend_id\":\"$1\""*) ;; *) die "$(basename "$file") went elsewhere: $answer" ;; esac
    curl --silent --fail "$url/v1/blobs/sha256:$digest" | sha256sum --check --status <(echo "$digest  -") ||
      die "$(basename "$file") came back changed"
    if [ -s "$file" ]; then
      [ "$(curl --silent --fail -r 0-99 "$url/v1/blobs/sha256:$digest" | sha256sum)" = "$(head -c 100 "$file" | sha256sum)" ] ||
        die "a range of $(basename "$file") is wrong"
    fi
  done
}

# package BACKEND VERSION [QUERY]: send the files as a package, seal it and read it back. The
# digest of its manifest, an object like the files, is in $manifest.
package() {
  local file name at=$url/v1/packages/ci-smoke/tool/$2
  for file in "$dir"/files/*; do
    name=$(basename "$file")
    curl --silent --show-error --fail -T "$file" "$at/files/bin/$name${3:-}" >>"$dir/log"
  done
  manifest=$(curl --silent --show-error --fail -X POST "$at/seal" | sed -n 's/.*"manifest_digest": *"sha256:\([0-9a-f]*\)".*/\1/p')
  [ -n "$manifest" ] || die "the package is sealed without a manifest"
  for file in "$dir"/files/*; do
    curl --silent --fail "$at/files/bin/$(basename "$file")" | cmp --silent - "$file" || die "$(basename "$file") of the package came back changed"
  done
  [ "$(curl --silent --fail "$at" | tr -d ' \n' | grep -o "\"backend_ids\":\[[^]]*\"$1\"" | wc -l)" -eq "$(ls "$dir/files" | wc -l)" ] ||
    die "not all files of the package are on $1: $(curl --silent "$at")"
}

# on_rgw: every file and the manifest of the package, and nothing else but the object
# that health checks write, have their keys on RGW, by another client.
on_rgw() {
  local digest
  for digest in $(sha256sum "$dir"/files/* | cut -d' ' -f1) "$manifest"; do
    echo "s3://$bucket/smoke/sha256/${digest:0:2}/${digest:2:2}/$digest"
  done | sort -u >"$dir/want"
  s3cmd --no-ssl --host="${endpoint#http://}" --host-bucket="${endpoint#http://}/%(bucket)" --access_key="$SMOKE_ACCESS" --secret_key="$SMOKE_SECRET" \
    --signature-v2 ls --recursive "s3://$bucket/smoke/" | awk '{print $4}' | grep -v '/smoke/.staging/health$' | sort >"$dir/got"
  diff "$dir/want" "$dir/got" || die "what s3cmd lists is not what was uploaded"
}

say "1. a directory and SQLite"
serve "$dir/local.yaml"; upload local; package local 1.0; sealed=$manifest; stop
say "2. Ceph RGW and PostgreSQL: another configuration file, the same commands"
serve "$dir/production.yaml"; upload rgw; package rgw 1.0; stop; on_rgw
[ "$manifest" = "$sealed" ] || die "the same package has another manifest there: $manifest, $sealed"
say "   s3cmd lists the objects where the layout says: smoke/sha256/<hh>/<hh>/<hex>"
s3cmd --no-ssl --host="${endpoint#http://}" --host-bucket="${endpoint#http://}/%(bucket)" --access_key="$SMOKE_ACCESS" --secret_key="$SMOKE_SECRET" \
  --signature-v2 --quiet --recursive --force del "s3://$bucket/smoke/" >/dev/null
say "3. a rule sends releases to the other backend"
serve "$dir/routed.yaml"; upload local; upload rgw '?retention_class=release'; package rgw 2.0 '?retention_class=release'; stop; on_rgw
say "everything is where it should be"
