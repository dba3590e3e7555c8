#!/usr/bin/env bash
# Check and measure styleganv on this machine's GPU in at most ten minutes, and write one Markdown file to send back.
#   bash benchmarks/gpu.sh                          on the first GPU, and two processes if there are two GPUs
#   bash benchmarks/gpu.sh --tiny --device cpu      a rehearsal at tiny sizes, without a GPU (--minutes 60 if busy)
# Run it in the environment that styleganv is installed in, with the extra "dev" for the tests. PYTHON sets the interpreter.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu.py" "$@"
