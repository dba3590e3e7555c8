#!/usr/bin/env bash
# Make the videos of docs/gallery.md with the pretrained models: about two minutes on one core.
#   bash examples/gallery.sh docs/media
set -euo pipefail
out=$1 work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

generate() { # name of the file, then the options of `styleganv generate`
  local name=$1
  shift
  styleganv generate "$@" --out "$work/$name" --crf 28
  mv "$work/$name"/*.mp4 "$out/$name.mp4"
}

edit() { # name of the file, then the options of `styleganv edit`
  local name=$1
  shift
  styleganv edit "$@" --out "$work/$name.mp4" --crf 26
  mv "$work/$name.mp4" "$out/$name.mp4"
}

for model in faces emoji sky; do
  generate "$model-grid" "$model-64" --format grid --seeds 0-5 --motion-seeds 0-2 --seconds 4
done
edit interpolation faces-64 --seed 0 --interpolate-to 1,2,3 --seconds 8
edit mix faces-64 --seed 3 --mix 7:4-9 --side-by-side --seconds 4
edit text faces-64 --seed 3 --text "a green face with glasses" --side-by-side --seconds 4
edit slow emoji-64 --seed 2 --speed 0.25 --side-by-side --seconds 6
for fps in 5 25 100; do
  generate "fps$fps" faces-64 --seeds 5 --fps "$fps" --seconds 4
done
generate long sky-64 --seeds 2 --seconds 30
