"""Whole runs as processes: killed and resumed, asked to stop, with several ranks, on a full disk."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed.run
import yaml
from places import ROOT
from trainers import ALONE

from training.families import run_config
from training.run.checkpoints import read_state
from training.settings import merge_settings
from training.train import Run, spawn_ranks

# Otherwise ranks that begin again may find the addresses of those that were lost.
FRESH_STORES = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
PATIENCE_S = 800  # processes that start beside others take their time
pytestmark = pytest.mark.timeout(900)


def settings_file(values: dict) -> Path:
    path = Path(values["out"]) / "settings.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return path


def start(values: dict) -> subprocess.Popen:
    """The command line on a file with these settings."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "training.train", "--config", str(settings_file(values))]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    return output


def run_here(values: dict, **changes) -> Run:
    run = Run(replace(run_config(values), **changes), ALONE)
    run.resume()
    run.go()
    return run


def train_lines(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["what"] == "train"]


def losses(out: Path) -> list[tuple[int, float, float]]:
    return [(line["step"], line["total"], line["norm"]) for line in train_lines(out)]


def wait_for_step(process: subprocess.Popen, out: Path, step: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        path = out / "log.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        if any(line.endswith("}") and json.loads(line)["step"] >= step for line in lines):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    raise AssertionError(f"no step {step} in time")


@pytest.mark.slow
def test_a_killed_run_and_a_stopped_one_go_on_bit_for_bit(run_values, tmp_path):
    record = {"save_steps": 4, "log_steps": 1, "evaluate_scenes": 0}
    values = run_values("pan3d-mini", record=record, sampling={"batch": 1}, steps=40)
    run_here(values, out=tmp_path / "whole")
    broken = {**values, "out": str(tmp_path / "broken")}
    out = tmp_path / "broken"

    killed = start(broken)
    wait_for_step(killed, out, 6)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    saved = read_state(out / "last.pt")["step"]
    assert killed.returncode == -signal.SIGKILL and 4 <= saved < 40 and saved % 4 == 0

    stopped = start(broken)
    wait_for_step(stopped, out, saved + 3)
    stopped.send_signal(signal.SIGTERM)
    output = finish(stopped)
    step = read_state(out / "last.pt")["step"]
    assert saved < step < 40 and step == train_lines(out)[-1]["step"]
    assert f"resumed at step {saved}" in output and f"stopped at step {step} by a signal" in output

    run_here(broken)
    assert losses(out) == losses(tmp_path / "whole") and len(losses(out)) == 40
    for name in ("model", "ema"):
        mine, theirs = (read_state(folder / "last.pt")[name] for folder in (out, tmp_path / "whole"))
        assert all(torch.equal(mine[key], value) for key, value in theirs.items())
    assert len(list(out.glob("step_*.pt"))) == 2


def by_spawning(values: dict) -> None:
    spawn_ranks(run_config(merge_settings(values, {"execution": {"ranks": 2}})))


def by_torchrun(values: dict) -> None:
    arguments = ["--standalone", "--nproc_per_node=2", "-m", "training.train", "--config", str(settings_file(values))]
    torch.distributed.run.main(arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "launch", "strategy"),
    [
        ("pan3d-mini", by_spawning, "ddp"),
        ("segvggt", by_torchrun, "fsdp"),
        ("fast3dis", by_spawning, "ddp"),
        ("fast3dis", by_torchrun, "fsdp"),
    ],
    ids=["spawn-ddp", "torchrun-fsdp", "frozen-ddp", "frozen-fsdp"],
)
def test_two_ranks_give_the_result_of_one(run_values, tmp_path, monkeypatch, family, launch, strategy):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(ROOT)
    values = run_values(family, steps=4, sampling={"batch": 1}, record={"save_steps": 2}, execution={"strategy": strategy})
    alone = {**values, "out": str(tmp_path / "alone"), "execution": {**values["execution"], "accumulate": 2}}
    run_here(alone)
    launch(values)
    two = Path(values["out"])
    expected = losses(tmp_path / "alone")
    assert [step for step, *_ in losses(two)] == [1, 2, 3, 4]
    for mine, theirs in zip(losses(two), expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5, rel=1e-5)
    first, second = read_state(two / "last.pt"), read_state(tmp_path / "alone" / "last.pt")
    assert len(first["ranks"]) == 2 and first["samples"] == second["samples"] == 8
    for name, value in second["model"].items():
        if "running" not in name and "batches" not in name:  # batch normalisation counts one rank's batches
            torch.testing.assert_close(first["model"][name], value, atol=1e-5, rtol=1e-4)

    # One process goes on from what two wrote.
    (tmp_path / "after").mkdir()
    shutil.copy(two / "step_00000002.pt", tmp_path / "after" / "last.pt")
    run_here({**alone, "out": str(tmp_path / "after")})
    for mine, theirs in zip(losses(tmp_path / "after"), expected[2:], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5, rel=1e-5)


def test_a_full_disk_ends_the_run_with_a_clear_error_and_keeps_the_last_checkpoint(run_values):
    values = run_values("pan3d-mini", steps=2, record={"evaluate_scenes": 0})
    run_here(values)
    out = Path(values["out"])
    before = (out / "last.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="could not be written .*last.pt is untouched, the run can go on from there"):
            run_here(values, steps=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (out / "last.pt").read_bytes() == before and not list(out.glob("*.part"))
    assert run_here(values, steps=4).trainer.step == 4


def children(pid: int) -> list[int]:
    """Processes that a process has started, and theirs, while they run."""
    try:
        own = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return own + [child for process in own for child in children(process)]


def ranks_of(pid: int) -> list[int]:
    """Of these those that train: workers of torchrun, or processes that Python's spawning has made."""
    words = {child: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in children(pid)}
    return [
        child
        for child, line in words.items()
        if b"--multiprocessing-fork" in line or (b"training.train" in line and b"-u" in line)
    ]


def start_ranks(values: dict, *launcher: str, **environment: str) -> subprocess.Popen:
    """The command line on a file with these settings, started by what is named."""
    known = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", **environment}
    command = [sys.executable, *launcher, "-m", "training.train", "--config", str(settings_file(values))]
    return subprocess.Popen(command, cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def shared_run(run_values, tmp_path) -> tuple[dict, list[tuple[int, float, float]]]:
    """A sharded run of two ranks whose blocks are recomputed, and the losses of one that nothing breaks."""
    execution = {"strategy": "fsdp", "checkpoint_blocks": True, "batches_per_step": 2}
    record = {"save_steps": 2, "log_steps": 1, "evaluate_scenes": 0}
    values = run_values("segvggt", steps=14, sampling={"batch": 1}, record=record, execution=execution)
    alone = {**values, "out": str(tmp_path / "alone"), "execution": {**values["execution"], "accumulate": 2}}
    run_here(alone)
    return values, losses(tmp_path / "alone")


def agree(mine: list[tuple[int, float, float]], theirs: list[tuple[int, float, float]]) -> bool:
    return len(mine) == len(theirs) and all(a == pytest.approx(b, abs=2e-5, rel=2e-5) for a, b in zip(mine, theirs))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["command", "torchrun"])
def test_a_run_goes_on_after_a_rank_was_lost(shared_run, launcher):
    values, expected = shared_run
    if launcher == "command":
        values = merge_settings(values, {"execution": {"ranks": 2, "restarts": 1}})
        process = start_ranks(values)
    else:
        process = start_ranks(
            values, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max-restarts=1", **FRESH_STORES
        )  # fmt: skip
    out = Path(values["out"])
    wait_for_step(process, out, 4)
    os.kill(ranks_of(process.pid)[-1], signal.SIGKILL)
    output = finish(process)
    assert agree(losses(out), expected), output
    assert "resumed at step" in output
    if launcher == "command":
        assert "rank 1 of 2 was ended by signal 9 (SIGKILL); going on from the newest checkpoint, 0 restarts left" in output


@pytest.mark.slow
def test_a_lost_rank_without_a_restart_is_an_error_that_says_how_to_go_on(shared_run):
    values, expected = shared_run
    process = start_ranks(merge_settings(values, {"execution": {"ranks": 2}}))
    out = Path(values["out"])
    wait_for_step(process, out, 4)
    os.kill(ranks_of(process.pid)[-1], signal.SIGKILL)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0 and "rank 1 of 2 was ended by signal 9 (SIGKILL), and execution.restarts allows no" in output
    # One process goes on, with the batches of both.
    finish(start_ranks(merge_settings(values, {"execution": {"strategy": "ddp"}})))
    assert agree(losses(out), expected)


@pytest.mark.slow
def test_a_cluster_goes_on_without_a_node_that_was_lost(shared_run):
    values, expected = shared_run
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quick = "--rdzv-conf=keep_alive_interval=1,keep_alive_max_attempt=2,last_call_timeout=1,join_timeout=300"
    place = [f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-backend=c10d", "--rdzv-id=run", "--local-addr=127.0.0.1"]
    torchrun = ["-m", "torch.distributed.run", "--nnodes=1:2", "--nproc_per_node=1", "--max-restarts=3", quick, *place]
    first = start_ranks(values, *torchrun, **FRESH_STORES)
    wait_for_port(first, port)
    second = start_ranks(values, *torchrun, **FRESH_STORES)
    out = Path(values["out"])
    wait_for_step(first, out, 4)
    for pid in [*children(second.pid), second.pid]:
        os.kill(pid, signal.SIGKILL)
    second.communicate()
    output = finish(first)
    assert agree(losses(out), expected), output
    assert len(read_state(out / "last.pt")["ranks"]) == 1


def wait_for_port(process: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("no node answers in time")
