#!/usr/bin/env bash
# Brings Debian's prometheus and promtool for the tests of deploy/prometheus.
#
#   install.sh DIR
#
# Where both are in PATH it does nothing. Else, as root on Debian, it unpacks the
# package into DIR (19 MB to download, 94 MB on disk) and installs nothing, so that
# no service is started. The programs are then in DIR/usr/bin.
set -euo pipefail

[ $# = 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0
mkdir -p "$1"
cd "$1"
exec 9>"${TMPDIR:-/tmp}/artifactstore-apt.lock"
flock 9
[ ! -e complete ] || exit 0
command -v apt-get >/dev/null || { echo "install.sh: prometheus is not installed, and this is not Debian" >&2; exit 1; }
echo "install.sh: unpacking Debian's prometheus into $1 (19 MB to download)" >&2
{ apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } >install.log 2>&1 ||
  { tail -20 install.log >&2; exit 1; }
dpkg -x prometheus_*.deb .
rm prometheus_*.deb
touch complete
