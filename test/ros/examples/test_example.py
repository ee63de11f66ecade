"""The example for ROS, against the real node in a process of its own."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time

import pytest
import ros_support
from places import ROOT


@pytest.mark.slow
def test_ask_the_node(spinner, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    settings = ["cameras:=[front]", "model.name:=depth_clusters", "input.use_depth:=true", "input.max_image_age_s:=0.0"]
    settings += ["workspace.support_height_m:=0.0", "autostart:=true", "service.timeout_s:=60.0"]
    node = [sys.executable, "-m", "pan3d_ros.perception_node", "--ros-args"]
    node += [word for setting in settings for word in ("-p", setting)]
    rig, over = spinner.add(ros_support.Rig()), threading.Event()

    def publish() -> None:
        while not over.is_set():
            rig.publish()
            time.sleep(0.1)

    cameras = threading.Thread(target=publish, daemon=True)
    with (tmp_path / "node.log").open("w") as log:
        child = subprocess.Popen(node, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        cameras.start()
        program = [sys.executable, str(ROOT / "examples" / "ask_the_node.py")]
        run, refused = (
            subprocess.run([*program, prompt], env=environment, capture_output=True, text=True, timeout=200)
            for prompt in ("the red thing", "not the red thing")
        )
    finally:
        over.set()
        cameras.join()
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()
    assert run.returncode == 0, run.stderr + (tmp_path / "node.log").read_text()
    assert re.search(r"^\d+ unnamed at ", run.stdout, re.MULTILINE), run.stdout
    assert re.search(r"^the red thing: .*red", run.stdout, re.MULTILINE), run.stdout
    assert re.search(r"^  (quality 0\.\d+, opened \d+ mm|no grasp: .+)$", run.stdout, re.MULTILINE), run.stdout
    assert refused.returncode == 1 and re.search(r"^not the red thing: error \d+, .*'not'", refused.stdout, re.MULTILINE), refused
