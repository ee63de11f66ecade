"""The refinement's process as the node sees it: started, listened to, stopped. No ROS in here."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

STOP_TIMEOUT_S = 5.0


class ProcessEnded(RuntimeError):
    """The process ended without saying how it went."""


class RefinementRunner:
    """One process of `refinement_process` for what a folder has. Stop it whatever happens."""

    def __init__(self, folder: Path, threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pan3d_ros.refinement.process", str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        self._reports: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="pan3d-refinement", daemon=True)
        self._reader.start()

    def next(self, timeout_s: float) -> dict[str, Any] | None:
        """The next report; None when none comes in time. Raises `ProcessEnded` after the last one."""
        try:
            report = self._reports.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if report is None:
            raise ProcessEnded(self._how_it_ended())
        return report

    def stop(self) -> None:
        """End the process at once, also in the middle of a step; files of it appear whole or not at all."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(STOP_TIMEOUT_S)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("{"):  # libraries may print as well
                    self._reports.put(json.loads(line))
        self._reports.put(None)

    def _how_it_ended(self) -> str:
        status = self._process.wait(STOP_TIMEOUT_S)
        if status < 0:
            return f"the refinement was ended by signal {-status}; 9 is mostly for want of memory: keep fewer views"
        return f"the refinement ended with exit status {status}; its error output says why"
