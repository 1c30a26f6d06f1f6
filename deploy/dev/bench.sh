#!/usr/bin/env bash
# The benchmarks, each figure beside its reference in the same run: the hasher
# beside its parts, then the gateway beside a minimal server (deploy/bench).
# Arguments go to the latter. What a store that holds much answers is measured by
# bench-scale.sh. Wants a quiet machine, 20 GiB of disk, 10 minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
make --no-print-directory build
go build -trimpath -o bin/bench ./deploy/bench

go test -run '^$' -bench '^BenchmarkHasher$' -count 3 ./cas/digest | tee bin/bench-hasher.txt
awk '$1 ~ /^BenchmarkHasher\/(sha256|blake3|both)-?[0-9]*$/ {
    split($1, name, /[\/-]/)
    for (i = 2; i < NF; i++) if ($(i+1) == "cpu-s/GiB" && (!(name[2] in best) || $i < best[name[2]])) best[name[2]] = $i
  }
  END {
    ratio = best["both"] / (best["sha256"] + best["blake3"])
    printf "\nhashing: both %.3f CPU-s/GiB, the fastest SHA-256 and BLAKE3 alone %.3f + %.3f; ratio %.2f  target <= 1.05  %s\n\n",
      best["both"], best["sha256"], best["blake3"], ratio, ratio <= 1.05 ? "met" : "MISSED"
  }' bin/bench-hasher.txt

exec bin/bench "$@"
