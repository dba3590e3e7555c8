#!/usr/bin/env bash
# Train faces, emoji and sky at 64² on one core, in slices, one after another.
#   bash examples/pretrained.sh SOURCE OUT ROUNDS MINUTES
# SOURCE holds emoji/ (Fluent animated emoji, MIT, Microsoft Corporation; 256² webp) and sky/ (SKIPP'D, CC BY 4.0; mp4).
# Each round trains each model for MINUTES more. Run it again to resume, after an interruption too. At the end, each
# model is trained with a low learning rate and a short average, in a run of its own: faces-end, emoji-end and sky-end.
# After more rounds, remove these three to finish the models anew. package_model.py, in this folder, turns a run into a
# pretrained model.
set -euo pipefail
shopt -s extglob
source=$1 out=$2 rounds=$3 minutes=$4
export OMP_NUM_THREADS=1
mkdir -p "$out"

prepare() { # name, files to keep out of training (a pattern), files to ignore, prepare options
  local name=$1 kept_out=$2 ignored=$3
  shift 3
  [ ! -e "$out/$name.zip" ] || return 0
  mkdir -p "$out/$name-train" "$out/$name-kept-out"
  for file in "$source/$name"/*; do
    if [[ ${file##*/} == $ignored ]]; then continue; fi
    if [[ ${file##*/} == $kept_out ]]; then cp -n "$file" "$out/$name-kept-out"; else cp -n "$file" "$out/$name-train"; fi
  done
  styleganv prepare "$out/$name-kept-out" "$out/$name-kept-out.zip" --overwrite "$@"
  styleganv prepare "$out/$name-train" "$out/$name.zip" "$@"
}

train() { # name, training options
  local name=$1
  shift
  styleganv train "$out/$name.zip" --out "$out/$name" --or-resume --preset tiny-cpu --minutes "$minutes" \
    --total-clips 5000000 --save-every 8000 --snapshot-every 32000 --lr-decay-clips 40000 \
    --motion-path bspline "$@"
}

finish() { # name, training options
  local name=$1
  shift
  styleganv train "$out/$name.zip" --finetune "$out/$name" --out "$out/$name-end" --or-resume --preset tiny-cpu \
    --total-clips 12000 --lr 0.001 --lr-decay-clips None --r1-scale 0.008 --r1-decay-clips None --ema-half-life 3000 \
    "$@"
}

[ -e "$out/faces.zip" ] || python -c "
from styleganv.faces.dataset import make_faces
make_faces('$out/faces.zip', num_videos=4096, num_frames=64, resolution=(64, 64))"
prepare emoji '@(1f602|1f60e|1f61c|1f622|1f634|1f642|1f63a|1f928).webp' '' --resolution 64 --background '#cfe8ff'
# Two films of a day (*_f_* and *_n_*) show the same sky, so both are kept out. Two films are damaged: a still white bar.
prepare sky '@(cloudy_?_05|sunny_?_08).mp4' 'sunny_n_0[01].mp4' --resolution 64

for ((round = 1; round <= rounds; round++)); do
  train faces --slot-distance 16 --augment none
  train emoji --slot-distance 16 --mirror --augment fixed --augment-p 0.3
  train sky --slot-distance 32 --augment fixed --augment-p 0.3
done
finish faces --augment none
finish emoji --mirror --augment fixed --augment-p 0.3
finish sky --augment fixed --augment-p 0.3
