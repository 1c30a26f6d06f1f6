#!/usr/bin/env bash
# The OCI face beside distribution's registry v3.1.2 and Debian's docker-registry
# (2.8), each a process on this machine with its files in a folder, in one run: a
# table of throughput, latency and CPU time. Arguments go to the program
# (deploy/bench). Builds the first and downloads and unpacks the second (5 MB) into
# bin/registries. Wants a quiet machine, 15 GiB of disk, 6 minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly version=v3.1.2 dir=$PWD/bin/registries
make --no-print-directory build
go build -trimpath -o bin/bench ./deploy/bench
mkdir -p "$dir"

if [ ! -x "$dir/registry" ]; then
  echo "building distribution's registry $version into $dir (a minute or two)" >&2
  # From outside any module, so that the project's go.mod has no say in it.
  (cd "$dir" && GOFLAGS=-mod=mod GOBIN=$dir go install "github.com/distribution/distribution/v3/cmd/registry@$version")
fi
if [ ! -x "$dir/usr/bin/docker-registry" ]; then
  echo "downloading and unpacking Debian's docker-registry into $dir" >&2
  (cd "$dir" && { apt-get download -qq docker-registry || { apt-get update -qq && apt-get download -qq docker-registry; }; })
  dpkg -x "$dir"/docker-registry_*.deb "$dir"
fi
date -u +%F
exec bin/bench -registries "distribution $version=$dir/registry,$(cd "$dir" && usr/bin/docker-registry --version | awk '{print "docker-registry " $3}')=$dir/usr/bin/docker-registry" -rounds 3 -round 2s "$@"
