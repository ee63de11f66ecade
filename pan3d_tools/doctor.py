"""Checks of an installation, each with the command that mends what is missing: `pan3d doctor`."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pan3d_core.runtime import networks
from pan3d_core.runtime.checks import MISSING, OK, OPTIONAL, Check
from pan3d_core.runtime.minilm_files import PACKAGE, TextEncoderUnavailable, check_files, find_model_folder
from pan3d_ros.platform.shared_memory import FOLDER, OTHER_USERS, OTHER_USERS_MEND, other_users, stale_segments

SEGMENT_BYTES = 71e6  # of a process with config/fastdds_large.xml
LIBRARIES = ("numpy", "scipy", "cv2", "PIL", "yaml", "safetensors")
RENDER_TIMEOUT_S = 60.0
_RENDER_PROGRAM = (
    "import mujoco\n"
    "model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size=\"1\"/></worldbody></mujoco>')\n"
    "data = mujoco.MjData(model)\n"
    "mujoco.mj_forward(model, data)\n"
    "with mujoco.Renderer(model, 16, 16) as renderer:\n"
    "    renderer.update_scene(data)\n"
    "    renderer.render()\n"
)


def run_checks() -> list[Check]:
    """All checks in the order in which problems are best mended."""
    return [check() for check in CHECKS]


def exit_code(checks: list[Check]) -> int:
    """0 when nothing needed is missing, otherwise 1."""
    return int(any(check.status == MISSING for check in checks))


def format_report(checks: list[Check]) -> str:
    """One line per check, and below it what to do."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.status:>8}  {check.name:<{width}}  {check.detail}")
        if check.mend:
            lines.append(" " * (width + 12) + f"-> {check.mend}")
    missing = [check.name for check in checks if check.status == MISSING]
    lines.append("")
    lines.append(f"needed and missing: {', '.join(missing)}" if missing else "everything needed is there")
    return "\n".join(lines)


def _imported(name: str, found: Callable[[], str], mend: str) -> Check:
    """What `found` says of it, or the reason for which it cannot be imported."""
    try:
        return Check(name, OK, found())
    except (ImportError, OSError) as error:
        return Check(name, MISSING, str(error), mend)


def check_python() -> Check:
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", OK, f"{version} at {sys.executable}")
    return Check("Python", MISSING, f"{version}; expected 3.10 to 3.13", "make distclean && make setup PYTHON=python3.12")


def check_libraries() -> Check:
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if absent:
        return Check("libraries", MISSING, f"cannot import {', '.join(absent)}", "make setup, or: pip install pan3d")
    return Check("libraries", OK, ", ".join(LIBRARIES))


def check_torch() -> Check:
    def found() -> str:
        torch = importlib.import_module("torch")
        return f"{torch.__version__}, {torch.get_num_threads()} CPU threads"

    return _imported("torch", found, "make setup, or: pip install torch")


def check_gpu() -> Check:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError):
        return Check("GPU", OPTIONAL, "torch is missing")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        reason = "torch is a CPU build" if built is None else f"torch is built for CUDA {built} and finds no device"
        mend = "with an NVIDIA GPU: install its driver, see nvidia-smi"
        return Check("GPU", OPTIONAL, f"{reason}; everything runs on the CPU", mend)
    memory_gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Check("GPU", OK, f"{torch.cuda.get_device_name(0)}, {memory_gib:.0f} GiB, CUDA {torch.version.cuda}")


def check_ros() -> Check:
    def found() -> str:
        importlib.import_module("rclpy")
        importlib.import_module("sensor_msgs.msg")
        rmw = importlib.import_module("rclpy.utilities").get_rmw_implementation_identifier()
        return f"rclpy from {_home('rclpy')}, {rmw}, distribution {os.environ.get('ROS_DISTRO', 'not named')}"

    return _imported("ROS 2", found, "make setup, then: source activate.sh (or source your ROS 2 installation)")


def check_interfaces() -> Check:
    try:
        messages = importlib.import_module("pan3d_interfaces.msg")
        messages.InstanceArray.__import_type_support__()
    except (ImportError, OSError, AttributeError) as error:
        mend = "make setup, then: source activate.sh; in a ROS 2 workspace: colcon build"
        return Check("interfaces", MISSING, f"pan3d_interfaces: {error}", mend)
    return Check("interfaces", OK, f"pan3d_interfaces from {_home('pan3d_interfaces')}")


def check_ros_extras() -> Check:
    """Packages that are used when they are there and replaced by small equivalents otherwise."""
    names = ("tf2_ros", "message_filters", "cv_bridge", "sensor_msgs_py", "vision_msgs", "launch_ros")
    there = [name for name in names if importlib.util.find_spec(name) is not None]
    absent = [name for name in names if name not in there]
    if not absent:
        return Check("ROS 2 extras", OK, ", ".join(there))
    detail = f"not installed: {', '.join(absent)} (works without; no TF, vision_msgs or launch files where they are missing)"
    return Check("ROS 2 extras", OPTIONAL, detail, "comes with an installation of ROS 2 from its own packages, not from PyPI")


def check_dds_profile() -> Check:
    rmw = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in rmw:
        return Check("DDS profile", OPTIONAL, f"{rmw} is in use; make its buffers large enough for 8 MB samples")
    name = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE") or os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE")
    mend = "in every process: source activate.sh, or export FASTDDS_DEFAULT_PROFILES_FILE=.../config/fastdds_large.xml"
    if not name:
        return Check("DDS profile", OPTIONAL, "none set: images and clouds above 0.5 MB get lost or slow", mend)
    if not Path(name).is_file():
        return Check("DDS profile", MISSING, f"{name} does not exist", mend)
    return Check("DDS profile", OK, name)


def check_shared_memory(folder: Path = FOLDER) -> Check:
    """Whether Fast DDS has room for the segment of one more process; without it messages go by UDP, which loses large ones."""
    if not folder.is_dir():
        return Check("shared memory", OPTIONAL, f"no {folder}: messages between processes go by UDP, which is slower")
    free, stale = shutil.disk_usage(folder).free, stale_segments(folder).size
    detail = f"{free / 1e6:.0f} MB free in {folder}"
    if stale:
        detail += f"; {stale / 1e6:.0f} MB are left by processes that were killed, which pan3d's nodes remove when they start"
    if free + stale >= SEGMENT_BYTES:
        if others := other_users(folder):
            return Check(
                "shared memory", OPTIONAL, f"{detail}; {', '.join(others)} uses it, too: {OTHER_USERS}", OTHER_USERS_MEND
            )
        return Check("shared memory", OK, detail)
    mend = f"containers: --ipc=host or --shm-size=1g; otherwise: mount -o remount,size=1G {folder}"
    return Check("shared memory", OPTIONAL, f"{detail}; a process takes 70, without which its messages go by UDP", mend)


def check_renderer() -> Check:
    """Renders one picture in a process of its own, because a broken GL library may end the process."""
    if importlib.util.find_spec("mujoco") is None:
        mend = "make setup, or: pip install 'pan3d[sim]'"
        return Check("renderer", OPTIONAL, "mujoco is not installed: no simulated cell", mend)
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "osmesa")}
    kind = environment["MUJOCO_GL"]
    mend = "sudo apt-get install libosmesa6, or on a machine with a GPU: export MUJOCO_GL=egl"
    try:
        run = subprocess.run(
            [sys.executable, "-c", _RENDER_PROGRAM], env=environment, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Check("renderer", OPTIONAL, f"MUJOCO_GL={kind}: no picture within {RENDER_TIMEOUT_S:.0f} s", mend)
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or [f"ended with {run.returncode}"])[-1]
        return Check("renderer", OPTIONAL, f"MUJOCO_GL={kind}: {last}", mend)
    return Check("renderer", OK, f"mujoco {importlib.metadata.version('mujoco')}, MUJOCO_GL={kind}")


def check_bags() -> Check:
    if importlib.util.find_spec("rosbags") is None:
        mend = "make setup, or: pip install 'pan3d[bags]'"
        return Check("bags", OPTIONAL, "rosbags is not installed: no sim record, no doctor, eval or replay of a BAG", mend)
    return Check("bags", OK, f"rosbags {importlib.metadata.version('rosbags')}, no ROS needed to read or write them")


def check_text_encoder() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("text encoder", OPTIONAL, "torch is missing", "mend torch first")
    try:
        folder = find_model_folder()
        check_files(folder)
    except TextEncoderUnavailable as error:
        return Check("text encoder", OPTIONAL, f"{error} (names known to the checkpoint work without)", "make setup")
    return Check("text encoder", OK, f"{PACKAGE} at {folder}, hashes as expected")


def check_runtimes() -> Check:
    """What networks may run in; which of them `auto` takes depends on what `pan3d export` has prepared."""
    if importlib.util.find_spec("torch") is None:
        return Check("runtimes", OPTIONAL, "torch is missing", "mend torch first")
    there = networks.installed_runtimes()
    detail = ", ".join(f"{name} {version}" for name, version in there.items())
    if len(there) == 1:
        return Check("runtimes", OPTIONAL, detail, "networks run faster on a CPU with: pip install 'pan3d[openvino]'")
    prepared = sorted({folder.parent.name for folder in networks.entries() if (folder / "verified.json").is_file()})
    if not prepared:
        return Check("runtimes", OPTIONAL, f"{detail}; no network is prepared, all run in torch", "pan3d export pan3d-mini")
    return Check("runtimes", OK, f"{detail}; prepared: {', '.join(prepared)}")


def check_weights() -> Check:
    folder = Path(__file__).parents[1] / "pan3d_core" / "weights"
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        mend = "take a complete checkout; until then run with model.name:=depth_clusters and depth cameras"
        return Check("checkpoint", MISSING, f"no .safetensors in {folder}", mend)
    if importlib.util.find_spec("safetensors") is None or importlib.util.find_spec("torch") is None:
        return Check("checkpoint", MISSING, f"{len(found)} files, not readable without safetensors and torch", "mend these first")
    safetensors = importlib.import_module("safetensors")
    for path in found:
        try:
            with safetensors.safe_open(str(path), framework="pt") as stream:
                tensors = len(stream.keys())
        except (safetensors.SafetensorError, OSError) as error:
            return Check("checkpoint", MISSING, f"{path}: {error}", "the file is damaged: take it again from the repository")
        if tensors == 0:
            return Check("checkpoint", MISSING, f"{path}: holds no tensors", "take it again from the repository")
    sizes = ", ".join(f"{path.name} ({path.stat().st_size / 1e6:.1f} MB)" for path in found)
    return Check("checkpoint", OK, sizes)


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_libraries,
    check_torch,
    check_gpu,
    check_ros,
    check_interfaces,
    check_ros_extras,
    check_dds_profile,
    check_shared_memory,
    check_renderer,
    check_bags,
    check_text_encoder,
    check_weights,
    check_runtimes,
)


def _home(module: str) -> str:
    spec = importlib.util.find_spec(module)
    return str(Path(spec.origin).parent.parent) if spec is not None and spec.origin else "an unknown place"
