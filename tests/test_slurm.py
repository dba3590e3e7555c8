"""The script for Slurm, with stand-ins for Slurm's commands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "slurm.sh"
#: Stand-ins: `srun` writes its words and environment, and starts what it is given as one node if RUN is set.
STANDINS = {
    "scontrol": '[ "$*" = "show hostnames $SLURM_JOB_NODELIST" ] && printf "%s\\n" $HOSTS',
    "srun": f"""{sys.executable} -c 'import json, os, sys
json.dump([sys.argv[1:], dict(os.environ)], open("srun.json", "w"))' "$@"
while [[ $1 == --* ]]; do shift 2; done
[ -z "${{RUN:-}}" ] || exec "$@" """,
    "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Return a folder of stand-ins."""
    for name, text in STANDINS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)
    return tmp_path / "bin"


def run(commands: Path, *words: object, hosts: str, gpus: int, **more: str) -> tuple[list[str], dict[str, str]]:
    """Run the script as the batch step of a job; return the words and the environment of its `srun`."""
    job = {
        "SLURM_JOB_ID": str(1_234_567 + os.getpid()),
        "SLURM_JOB_NODELIST": "gpu[07-08]",
        "SLURM_JOB_NUM_NODES": str(len(hosts.split())),
        "SLURM_GPUS_ON_NODE": str(gpus),
        "SLURM_CPUS_PER_TASK": "2",
        "HOSTS": hosts,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), *map(str, words)],
        env=os.environ | job | more,
        cwd=commands,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((commands / "srun.json").read_text())


def test_nodes_endpoint_and_restarts(commands: Path) -> None:
    words, environment = run(commands, "my data.zip", "runs/a b", "--preset", "1024", hosts="gpu07 gpu08", gpus=8)
    launcher, training = words[: words.index("-m") + 2], words[words.index("-m") + 2 :]
    assert training == ["train", "my data.zip", "--out", "runs/a b", "--or-resume", "--preset", "1024"]
    job = environment["SLURM_JOB_ID"]
    assert launcher[: launcher.index("torchrun")] == ["--cpus-per-task", "2"]
    options = launcher[launcher.index("torchrun") + 1 :]
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--nnodes": "2",
        "--nproc-per-node": "8",
        "--max-restarts": "3",
        "--rdzv-backend": "c10d",
        "--rdzv-id": job,
        "--rdzv-endpoint": f"gpu07:{20000 + int(job) % 10000}",
        "-m": "styleganv.cli",
    }
    assert environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] == "1"


def test_the_shutdown_ends_before_slurm_kills(commands: Path) -> None:
    _, environment = run(commands, "data.zip", "run", hosts="gpu07 gpu08", gpus=8)
    (line,) = [line for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH --signal=")]
    assert 30 < int(environment["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) < int(line.rpartition("@")[2])


def test_many_hosts_and_a_failing_scontrol(commands: Path) -> None:
    words, _ = run(commands, "data.zip", "run", hosts=" ".join(f"node{i:05d}" for i in range(9000)), gpus=8)
    assert words[words.index("--rdzv-endpoint") + 1].startswith("node00000:")
    (commands / "scontrol").write_text("#!/usr/bin/env bash\nexit 1\n")
    with pytest.raises(AssertionError):
        run(commands, "data.zip", "run", hosts="gpu07", gpus=8)


@pytest.mark.long
def test_the_command_trains(commands: Path, faces: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "my data.zip", tmp_path / "my runs" / "first one"
    shutil.copy(faces, data)
    flags = """--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16 --batch-size 4 --total-clips 4
    --loss logistic --second-discriminator none --num-threads 1"""
    run(commands, data, out, *flags.split(), hosts="localhost", gpus=1, RUN="1")
    assert (out / "model" / "config.json").exists() and (out / "checkpoint.pt").exists()
