"""Where the demo leaves what it has to show: a folder for a scene, or one with a folder for each of several."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pan3d_core.runtime.ending.result_folder import ResultFolder


def scene_folder(options: argparse.Namespace, seed: int) -> Path:
    """Name the folder of a scene: that of the demo, or where there are several scenes, one in it.

    Args:
        options: As `pan3d_tools.demo.__main__.parse` gives them.
        seed: Of the scene.

    Returns:
        The folder, which need not be there.
    """
    out: Path = options.out
    return out / f"seed_{seed}" if len(options.seed_list) > 1 else out


@contextmanager
def scene_results(options: argparse.Namespace, seed: int) -> Iterator[Path]:
    """Write the results of a scene; those of an older demo go with the first one.

    Args:
        options: As `pan3d_tools.demo.__main__.parse` gives them.
        seed: Of the scene.

    Yields:
        A folder to write to, which becomes `scene_folder` when the block ends.
    """
    results = ResultFolder(options.out, "demo", ("report.html", "result.json", "film.gif", "rehearsal.gif", "summary.*"))
    with results.replaced(keep=lambda _: seed != options.seed_list[0]) as part:
        yield part / scene_folder(options, seed).relative_to(options.out)


@contextmanager
def summary_results(options: argparse.Namespace) -> Iterator[Path]:
    """Write what stands beside the folders of several scenes.

    Args:
        options: As `pan3d_tools.demo.__main__.parse` gives them.

    Yields:
        A folder to write to, whose files come to lie in that of the demo.
    """
    with ResultFolder(options.out, "demo").replaced(keep=lambda _: True) as part:
        yield part
