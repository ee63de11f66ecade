"""Programs that are asked to end: one line, the usual exit code, and what was begun cleared away."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from pan3d_core.runtime.ending.asked import EndAsked, handlers_kept, told, unwound

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM"}
WORK = """
import sys, time
from pathlib import Path
from pan3d_core.runtime.ending.asked import told, unwound
from pan3d_core.runtime.ending.result_folder import ResultFolder
try:
    with unwound(), ResultFolder(Path(sys.argv[1]), "work").replaced() as part:
        (part / "half.json").write_text("half")
        {wait}
except KeyboardInterrupt as asked:
    sys.exit(told("work", asked))
"""
WAITS = "print('ready', flush=True); time.sleep(60)"
SWALLOWS = "\n        ".join((f"try: {WAITS}", "except BaseException: print('again', flush=True)", "time.sleep(60)"))


def begun(program: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", WORDS)
def test_work_is_unwound(tmp_path, number):
    process = begun(WORK.format(wait=WAITS), str(tmp_path / "out"))
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number and errors.strip() == f"work: {WORDS[number]}"
    assert not (tmp_path / "out").exists()


def test_who_insists_ends_it_at_once(tmp_path):
    """As where code of others has swallowed what was raised."""
    process = begun(WORK.format(wait=SWALLOWS), str(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "again\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 143 and "Traceback" not in errors


@pytest.mark.parametrize("number", WORDS)
@pytest.mark.parametrize("module", ["pan3d_ros.perception_node", "pan3d_ros.sim_node", "training.train", "pan3d_tools.cli"])
def test_programs_end_with_a_line_while_they_are_imported(tmp_path, module, number):
    """The start file stands in for a module that takes long, and shows that the program has begun."""
    slow = tmp_path / "torch"
    slow.mkdir()
    (slow / "__init__.py").write_text("print('ready', flush=True)\nimport time\ntime.sleep(60)\n")
    place = os.pathsep.join((str(tmp_path), os.environ["PYTHONPATH"]))
    words = ["reconstruct", "a.png"] if module == "pan3d_tools.cli" else []
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words], stdout=-1, stderr=-1, text=True, env=dict(os.environ, PYTHONPATH=place)
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    name = module.rpartition(".")[2].replace("cli", "pan3d")
    assert process.returncode == 128 + number and errors.strip() == f"{name}: {WORDS[number]}"


def test_what_there_was_for_signals_stays(capsys):
    before = [signal.getsignal(number) for number in WORDS]
    with pytest.raises(EndAsked), unwound():
        os.kill(os.getpid(), signal.SIGTERM)
    with handlers_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert [signal.getsignal(number) for number in WORDS] == before
    assert told("work", KeyboardInterrupt(), "; whole") == 130 and capsys.readouterr().err == "\nwork: interrupted; whole\n"


def test_other_threads_may_ask_for_it_in_vain():
    seen = []

    def work() -> None:
        with unwound():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before] == [signal.getsignal(signal.SIGTERM)]
