#!/usr/bin/env bash
# From real videos to contact sheets, as in docs/results.md: SOURCE holds sky/, actions/, grid/ and shapes.zip.
#   bash examples/results.sh SOURCE OUT MINUTES          on a CPU: 64², preset tiny-cpu
#   SIZE=128 bash examples/results.sh SOURCE OUT MINUTES  on a GPU: sky at 128², the preset that fits the size
set -euo pipefail
source=$1 out=$2 minutes=$3 size=${SIZE:-64}
mkdir -p "$out"

run_dataset() { # name, source, resolution, then settings
  local name=$1 videos=$2 resolution=$3
  shift 3
  [ -e "$out/$name.zip" ] || styleganv prepare "$videos" "$out/$name.zip" --resolution "$resolution"
  styleganv inspect "$out/$name.zip"
  styleganv train "$out/$name.zip" --out "$out/run-$name" --minutes "$minutes" "$@"
  styleganv generate "$out/run-$name" --out "$out/$name" --seeds 0-7 --seconds 4 --scale 2
  styleganv generate "$out/run-$name" --out "$out/$name" --seeds 0-5 --motion-seeds 0-3 --seconds 2 --format grid
}

run_dataset sky "$source/sky" "$size" --slot-distance 64
run_dataset actions "$source/actions" 64 --slot-distance 8
run_dataset grid "$source/grid" 72x96 --slot-distance 16
run_dataset shapes "$source/shapes.zip" 64 --slot-distance 8 --augment none
