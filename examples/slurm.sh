#!/usr/bin/env bash
# Train on several nodes under Slurm. A job that is requeued, or loses a process, resumes from its last checkpoint.
#   sbatch examples/slurm.sh data.zip runs/mine --preset 256-sky
# Options of sbatch override the lines below, e.g. sbatch --nodes 4 --gpus-per-node 4 examples/slurm.sh …
# When its time ends, a job saves and stops; submit it with --dependency=singleton to queue several in advance.
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

# By default, torchrun (seen in PyTorch 2.13) announces the address of the workers' store once per job. A node that is
# lost and joins again waits for it in vain, until DistStoreError; with this setting it is announced at every restart.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
# Seconds for the step in progress and its checkpoint after SIGTERM, less than the 120 of --signal; the default is 30.
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=100

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${hosts%%$'\n'*}
port=$((20000 + SLURM_JOB_ID % 10000)) # so that two jobs may share a node

# srun does not take the number of CPUs from sbatch, and would give each node's processes one.
srun --cpus-per-task "$SLURM_CPUS_PER_TASK" torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "$SLURM_GPUS_ON_NODE" --max-restarts 3 \
    --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:$port" \
    -m styleganv.cli train "$data" --out "$out" --or-resume "$@"
