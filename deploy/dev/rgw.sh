#!/usr/bin/env bash
# A real Ceph RGW on this machine, for tests and for a developer's gateway: one
# monitor, one OSD and one radosgw on 127.0.0.1, in one folder, about two seconds.
#
#   rgw.sh up DIR [--store memstore|bluestore] [--while PID]
#   rgw.sh kill DIR      kill -9 of all three, as a power failure would
#   rgw.sh restart DIR   start them again on the same ports and data (bluestore only:
#                        memstore forgets everything)
#   rgw.sh down DIR      end them and remove the folder
#
# up writes DIR/env: ARTIFACTSTORE_TEST_RGW=http://ACCESS:SECRET@127.0.0.1:PORT/BUCKET
# and the same in parts. With --while it all goes down when process PID has ended.
# Authentication inside the cluster is off and there is one copy of everything:
# never put data here that anybody wants to keep.
set -euo pipefail

readonly access=dev-access-key secret=dev-secret-key bucket=artifacts
readonly wait_seconds=60

say() { echo "rgw.sh: $*" >&2; }
die() { say "$*"; exit 1; }

install_missing() {
  command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null && command -v radosgw >/dev/null &&
    command -v ceph >/dev/null && command -v radosgw-admin >/dev/null && return
  local line='apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-common'
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "Ceph is not installed. As root on Debian: $line"
  (
    flock 9
    command -v radosgw >/dev/null && exit 0
    say "installing Ceph (69 MB to download, 980 MB on disk): $line"
    export DEBIAN_FRONTEND=noninteractive
    { $line || { apt-get update && $line; }; } >"$dir/install.log" 2>&1 || { tail -20 "$dir/install.log" >&2; exit 1; }
  ) 9>"${TMPDIR:-/tmp}/artifactstore-apt.lock" || die "could not install Ceph"
}

# free_port prints a port below the range the kernel gives out by itself, on
# which nothing answers.
free_port() {
  local p
  while :; do
    p=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }
  done
}

write_conf() {
  local mon=$1 osd=$2 rgw=$3 store=$4
  cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$mon/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms bind ipv6 = false
ms bind port min = $osd
ms bind port max = $((osd + 60))
# authentication off needs the unsigned mode: with the default, "secure", radosgw hangs
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
keyring = /dev/null
admin socket =
log to file = true
log file = $dir/\$name.log
run dir = $dir
crash dir = $dir
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush initial weight = 1
mon allow pool size one = true
mon max pg per osd = 1000
# every map change waits for this; the default second makes eight pools slow
paxos propose interval = 0.02
paxos min wait = 0.01
mon data avail warn = 1
mon data avail crit = 1
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
osd objectstore = $store
memstore device bytes = 8589934592
bluestore block size = 21474836480
bluestore block create = true
bluestore cache autotune = false
[client.rgw]
# without tcp_nodelay every small read and list takes 44 ms
rgw frontends = beast endpoint=127.0.0.1:$rgw tcp_nodelay=1
rgw data = $dir
rgw run sync thread = false
rgw gc obj min wait = 5
rgw gc processor period = 5
rgw gc processor max time = 5
rgw override bucket index max shards = 1
rgw usage num shards = 1
rgw data log num shards = 1
rgw md log max shards = 1
rgw gc max objs = 1
rgw lc max objs = 1
rgw reshard num logs = 1
rgw objexp hints num shards = 1
CONF
}

run() { # run NAME COMMAND... in the foreground of its own process group, pid in DIR/NAME.pid
  local name=$1
  shift
  CEPH_CONF="$dir/ceph.conf" setsid "$@" >"$dir/$name.out" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/$name.pid"
}

alive() { [ -f "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }

logs() {
  local f
  for f in "$dir"/*.out "$dir"/mon.a.log "$dir"/osd.0.log "$dir"/client.rgw.log; do
    [ -s "$f" ] && { echo "== last lines of ${f##*/}"; tail -5 "$f"; } >&2
  done
  return 0
}

# wait_for WHAT COMMAND...: until it succeeds, a process has ended or the deadline has passed
wait_for() {
  local what=$1 deadline=$((SECONDS + wait_seconds)) name
  shift
  until "$@" >/dev/null 2>&1; do
    for name in mon osd rgw; do
      [ ! -f "$dir/$name.pid" ] || alive "$name" || { logs; die "$name ended while waiting for $what"; }
    done
    [ $SECONDS -lt $deadline ] || { logs; die "waited $wait_seconds s for $what"; }
    sleep 0.05
  done
}

cephc() { timeout 20 ceph -c "$dir/ceph.conf" "$@"; }

start() {
  run mon ceph-mon -i a -c "$dir/ceph.conf" -f
  wait_for "the monitor" cephc --connect-timeout 2 mon stat
  if [ ! -e "$dir/osd/fsid" ]; then
    local uuid
    uuid=$(cat /proc/sys/kernel/random/uuid)
    cephc osd new "$uuid" 0 >/dev/null
    mkdir -p "$dir/osd"
    ceph-osd -i 0 -c "$dir/ceph.conf" --mkfs --osd-uuid "$uuid" >"$dir/mkfs.out" 2>&1 || { tail -5 "$dir/mkfs.out" >&2; die "ceph-osd --mkfs failed"; }
  fi
  run osd ceph-osd -i 0 -c "$dir/ceph.conf" -f
  run rgw radosgw -n client.rgw -c "$dir/ceph.conf" -f
  wait_for "radosgw" curl -fs -m 2 -o /dev/null "$endpoint/"
}

create_user_and_bucket() {
  timeout 60 radosgw-admin -n client.rgw -c "$dir/ceph.conf" user create --uid=dev --display-name=dev \
    --access-key="$access" --secret-key="$secret" >"$dir/user.out" 2>&1 || { tail -5 "$dir/user.out" >&2; die "could not create the user"; }
  # The older signature: curl's own newer one is refused by radosgw.
  local date sig
  date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
  sig=$(printf 'PUT\n\n\n%s\n/%s' "$date" "$bucket" | openssl dgst -sha1 -hmac "$secret" -binary | base64)
  curl -fsS -m 20 -X PUT -H "Date: $date" -H "Authorization: AWS $access:$sig" "$endpoint/$bucket" || die "could not create the bucket"
}

write_env() {
  cat >"$dir/env" <<ENV
ARTIFACTSTORE_TEST_RGW=http://$access:$secret@${endpoint#http://}/$bucket
RGW_ENDPOINT_URL=$endpoint
RGW_ACCESS_KEY=$access
RGW_SECRET_KEY=$secret
RGW_BUCKET=$bucket
ENV
}

up() {
  local store=memstore while_pid= mon osd rgw
  while [ $# -gt 0 ]; do
    case $1 in
      --store) store=$2; shift 2 ;;
      --while) while_pid=$2; shift 2 ;;
      *) die "unknown argument $1" ;;
    esac
  done
  [ ! -e "$dir/ceph.conf" ] || die "$dir holds a cluster already: rgw.sh down $dir"
  mkdir -p "$dir"
  install_missing
  mon=$(free_port) osd=$(free_port) rgw=$(free_port)
  endpoint=http://127.0.0.1:$rgw
  write_conf "$mon" "$osd" "$rgw" "$store"
  monmaptool --create --fsid "$(awk '/^fsid/ {print $3}' "$dir/ceph.conf")" --addv a "[v2:127.0.0.1:$mon/0]" \
    --set-min-mon-release 16 "$dir/monmap" >"$dir/monmap.out" 2>&1 || { cat "$dir/monmap.out" >&2; die "monmaptool failed"; }
  ceph-mon -i a -c "$dir/ceph.conf" --mkfs --monmap "$dir/monmap" >"$dir/monmkfs.out" 2>&1 || { cat "$dir/monmkfs.out" >&2; die "ceph-mon --mkfs failed"; }
  start
  create_user_and_bucket
  write_env
  if [ -n "$while_pid" ]; then
    (while kill -0 "$while_pid" 2>/dev/null && [ -e "$dir/env" ]; do sleep 1; done
     [ ! -e "$dir/env" ] || "$self" down "$dir") </dev/null >/dev/null 2>&1 9>&- &
  fi
  say "RGW $(radosgw --version | awk '{print $3}') ($store) at $endpoint; keys in $dir/env"
}

stop() { # stop SIGNAL
  local name pid deadline=$((SECONDS + 15))
  for name in rgw osd mon; do
    ! alive "$name" || kill "-$1" "$(cat "$dir/$name.pid")"
  done
  for name in rgw osd mon; do
    while alive "$name"; do
      [ $SECONDS -lt $deadline ] || { pid=$(cat "$dir/$name.pid"); kill -9 "$pid" 2>/dev/null || true; }
      sleep 0.05
    done
    rm -f "$dir/$name.pid"
  done
}

self=$(realpath "$0")
[ $# -ge 2 ] || { sed -n '2,17s/^# \{0,1\}//p' "$self" >&2; exit 2; }
verb=$1 dir=$(realpath -m "$2")
shift 2
case $verb in
  up) up "$@" || exit 1 ;;
  kill) stop KILL ;;
  restart)
    grep -q 'objectstore = bluestore' "$dir/ceph.conf" || die "only a bluestore cluster survives a restart"
    endpoint=$(sed -n 's/^RGW_ENDPOINT_URL=//p' "$dir/env")
    start
    ;;
  down)
    [ -e "$dir/ceph.conf" ] || die "$dir holds no cluster"
    rm -f "$dir/env"
    stop KILL
    rm -rf "$dir"
    ;;
  *) die "unknown verb $verb" ;;
esac
