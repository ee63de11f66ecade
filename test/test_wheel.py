"""The wheel: what is in it, and that it works where nothing of the checkout can be imported."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

import pan3d_core

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "training")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without leaving anything in it."""
    folder = tmp_path_factory.mktemp("wheel")
    # What pip calls builds in the tree; these commands of the same builder take folders.
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "egg_info", "--egg-base", str(folder)]
    command += ["build", "--build-base", str(folder / "build")]
    command += ["bdist_wheel", "--bdist-dir", str(folder / "bdist"), "--dist-dir", str(folder / "dist")]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    (path,) = (folder / "dist").iterdir()
    return path


def test_everything_that_is_not_python_is_installed_too(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    needed = [p.relative_to(ROOT) for name in PACKAGES for p in (ROOT / name).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert [str(path) for path in needed if str(path) not in packed] == []


def test_the_wheel_holds_what_a_user_needs_and_no_more(wheel):
    assert wheel.name == f"pan3d-{pan3d_core.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size <= 60e6
    packed = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in packed if not name.startswith("pan3d-")} == set(PACKAGES)
    shared = {name.split(".data/data/share/")[1] for name in packed if ".data/data/" in name}
    assert {name.split("/")[0] for name in shared} == {"ament_index", "pan3d", "pan3d_ros"}
    data = ROOT / "examples/data"
    examples = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert {name.removeprefix("pan3d/examples/") for name in shared if name.startswith("pan3d/")} == examples
    assert sum((data / name).stat().st_size for name in examples) <= 300e3
    assert any(name.endswith(".dist-info/licenses/LICENSE") or name.endswith(".dist-info/LICENSE") for name in packed)


def test_metadata_of_the_wheel(wheel):
    packed = zipfile.ZipFile(wheel)
    (name,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
    text = packed.read(name).decode()
    metadata = importlib.metadata.PathDistribution(zipfile.Path(packed, name.removesuffix("METADATA"))).metadata
    assert metadata["Name"] == "pan3d" and metadata["License"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.14,>=3.10"
    assert (ROOT / "README.md").read_text().splitlines()[0] in text
    assert "example.com" not in text  # no address is made up
    papers = {
        reference["url"] for reference in yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"] if "url" in reference
    }
    assert {line.split(", ")[1] for line in metadata.get_all("Project-URL")} == papers
    (torch,) = (line for line in metadata.get_all("Requires-Dist") if line.startswith("torch"))
    assert ">=" in torch and "==" not in torch


class Installation:
    """A virtual environment with the wheel in it; only the third-party packages are those of the environment of the tests."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
        self.programs = folder / "bin"
        pip = [sys.executable, "-m", "pip", "--python", str(self.programs / "python")]
        command = [*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)]
        subprocess.run(command, check=True, timeout=120, env=self.environment())  # else pip takes the checkout for installed
        # A path in a .pth file comes after the environment's own packages, and .pth files in that folder, such as the one of an
        # editable pan3d, are not read.
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")

    @staticmethod
    def environment() -> dict[str, str]:
        """Of processes that know no other pan3d."""
        return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(self, *command: str, timeout: int = 300) -> str:
        """Standard output of a command of this environment; a failure shows what it said."""
        run = subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            cwd=self.folder, capture_output=True, text=True, timeout=timeout, env=self.environment(),
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation") / "venv", wheel)


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_packages_come_from_the_wheel(installation, name):
    place = installation.run("python", "-c", f"import {name}; print({name}.__file__)").strip()
    assert Path(place).is_relative_to(installation.folder)


@pytest.mark.slow
def test_the_installed_version_is_that_of_the_library(installation):
    code = "import importlib.metadata, pan3d_core; print(importlib.metadata.version('pan3d'), pan3d_core.__version__)"
    assert installation.run("python", "-c", code).split() == [pan3d_core.__version__] * 2


@pytest.mark.slow
def test_the_example_pictures_are_reconstructed(installation):
    code = "import sysconfig; print(sysconfig.get_path('data') + '/share/pan3d/examples')"
    cell = Path(installation.run("python", "-c", code).strip()) / "cell"
    assert cell.is_relative_to(installation.folder)
    pictures = sorted(str(path) for path in cell.glob("*.jpg"))
    assert len(pictures) == 4
    out = installation.folder / "out"
    installation.run("pan3d", "reconstruct", *pictures, "--cameras", str(cell / "cameras.json"), "-o", str(out))
    found = [item["name"].split()[-1] for item in json.loads((out / "instances.json").read_text())["instances"]]
    assert sorted(found) == ["ball", "bottle", "bowl", "hammer", "pan", "vase"]  # the block is taken for a ball
    assert (out / "cloud.ply").stat().st_size > 100_000 and (out / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_training_step_is_made(installation):
    pytest.importorskip("mujoco")
    data, out = installation.folder / "data", installation.folder / "training"
    for part, count, seed in (("train", 2, 0), ("val", 1, 990_000)):
        render = ("sim", "render", "--shards", "--count", str(count), "--seed", str(seed), "--workers", "1")
        installation.run("pan3d", *render, "-o", str(data / part))
    arguments = ("--family", "pan3d-mini", "--data", str(data), "--out", str(out), "--steps", "1", "--batch", "1")
    installation.run("python", "-m", "training.train", *arguments, timeout=600)
    assert (out / "step_00000001.pt").is_file()
