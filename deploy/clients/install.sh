#!/usr/bin/env bash
# Installs the clients that the tests of deploy/clients run against a gateway.
#
#   install.sh DIR
#
# As root on Debian it installs skopeo, buildah, podman and what they need with
# apt-get; elsewhere they must be there already. Docker and containerd are Debian's
# packages too, but only unpacked, into DIR/debian, so that no service is started
# and no Docker of this machine is touched. crane, oras, regctl and helm are built
# into DIR/bin in the versions of tools/go.mod. What is there already is left alone.
set -euo pipefail

readonly installed=(skopeo buildah podman crun busybox-static libdevmapper1.02.1 iptables)
readonly unpacked=(docker.io containerd runc)

say() { echo "install.sh: $*" >&2; }
die() { say "$*"; exit 1; }

[ $# = 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
tools=$(realpath "$(dirname "$0")/tools")
log=$dir/install.log

# quietly runs a command and shows what it said only where it failed.
quietly() { "$@" >>"$log" 2>&1 || { tail -20 "$log" >&2; return 1; }; }

# apt runs an apt-get command again with fresh lists where it fails with old ones.
apt() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "not root on Debian. There: apt-get $*"
  DEBIAN_FRONTEND=noninteractive apt-get "$@" >>"$log" 2>&1 ||
    { quietly apt-get update && DEBIAN_FRONTEND=noninteractive quietly apt-get "$@"; } || die "failed: apt-get $*"
}

install_packages() {
  local c
  for c in skopeo buildah podman crun busybox iptables; do
    command -v $c >/dev/null || { apt_needed=1; break; }
  done
  [ "${apt_needed-}" ] || return 0
  say "installing (25 MB to download, 120 MB on disk): apt-get install --no-install-recommends ${installed[*]}"
  apt install -y --no-install-recommends "${installed[@]}"
}

unpack_packages() {
  [ ! -e "$dir/debian/complete" ] || return 0
  say "unpacking ${unpacked[*]} into $dir/debian (65 MB to download, 260 MB on disk)"
  rm -rf "$dir/debian"
  mkdir -p "$dir/debian/packages"
  cd "$dir/debian/packages"
  apt download "${unpacked[@]}"
  local p
  for p in *.deb; do quietly dpkg -x "$p" "$dir/debian" || die "could not unpack $p"; done
  rm -rf "$dir/debian/packages"
  touch "$dir/debian/complete"
}

build_tools() {
  [ -x "$dir/bin/helm" ] || say "building crane, oras, regctl and helm into $dir/bin (a minute or two)"
  mkdir -p "$dir/bin"
  quietly env CGO_ENABLED=0 go build -C "$tools" -trimpath -o "$dir/bin/" tool || die "could not build the tools of $tools/go.mod"
}

exec 9>"${TMPDIR:-/tmp}/artifactstore-apt.lock"
flock 9
: >"$log"
install_packages
unpack_packages
build_tools
