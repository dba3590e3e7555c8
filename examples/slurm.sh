#!/usr/bin/env bash
# Train on two nodes of eight GPUs under SLURM; a job that is requeued, or loses a process, resumes from its last checkpoint.
#   sbatch examples/slurm.sh data.zip runs/mine --preset 256-sky
#SBATCH --job-name=styleganv
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
set -euo pipefail
data=$1 out=$2
shift 2
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 8 --max-restarts 3 \
    --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:29500" \
    -m styleganv.cli train "$data" --out "$out" --or-resume "$@"
