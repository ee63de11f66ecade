"""What the tables of a paper are made of, as data: which views at which size, which classes, which figures, and the paper's own.

A table has one setting, and so one way onto the truth: masks that were carried by true cameras and by predicted ones never stand
in one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pan3d_core.refine.schedule import PUBLISHED_STEPS
from pan3d_eval.datasets import ViewSelection
from pan3d_eval.rendered.true_views import ClassList

Taxonomy = Literal["scannetv2", "scannet200", "own"]  # own: the classes that the data set's files name
Samples = Literal["neighbours", "alternate"]


@dataclass(frozen=True)
class PaperLine:
    """One line of a paper's table."""

    method: str
    values: tuple[float, ...]  # of the block's columns, 0..1


@dataclass(frozen=True)
class Block:
    """Figures side by side, and what the paper has for them."""

    title: str
    source: str  # where in the paper
    columns: tuple[tuple[str, str], ...]  # head, name of our figure
    lines: tuple[PaperLine, ...]

    def __post_init__(self) -> None:
        for line in self.lines:
            if len(line.values) != len(self.columns):
                raise ValueError(
                    f"Block {self.title}: expected {len(self.columns)} values of {line.method}, got {len(line.values)}"
                )


@dataclass(frozen=True)
class MaskSetting:
    """Instances on the vertices of a scan. The engine sees colour and intrinsics, neither poses nor depth."""

    transfer: Literal["posed", "unposed"]
    taxonomy: Taxonomy
    num_classes: int | None = None  # of instances; None = whatever the data set has
    named: bool = False  # whether figures with names are among the table's
    top_pairs: int = 600  # (query, class) pairs that are ranked where names count
    min_views: int = 1


@dataclass(frozen=True)
class RenderSetting:
    """Semantics and instances rendered from the Gaussians of context views, in these and in novel views."""

    samples: Samples  # neighbours: the images beside a novel one; alternate: even ones are context, odd ones novel
    classes: ClassList  # by one text each
    min_views: int = 4


@dataclass(frozen=True)
class MapSetting:
    """A scene refined from posed views with depth and 2D labels, and rendered in the same views."""

    min_views: ClassVar[int] = 2
    steps: int = PUBLISHED_STEPS
    density: str = "gsplat"  # as `DensitySettings.strategy`
    max_gaussians: int = 300_000


@dataclass(frozen=True)
class PublishedTable:
    """The figures of one data set in a paper."""

    key: str
    title: str
    dataset: str  # as `pan3d_eval.datasets.DATASETS` names its layout
    views: ViewSelection
    size: tuple[int, int]  # width and height in pixels at which the paper's network works
    setting: MaskSetting | RenderSetting | MapSetting
    blocks: tuple[Block, ...]
    scenes: str  # which the paper took, in words
    assumed: tuple[str, ...] = ()  # what the paper leaves open, and what stands for it here


@dataclass(frozen=True)
class PublishedProtocol:
    """How a paper measures."""

    key: str
    paper: str
    engine: str  # that is judged unless another one is asked for
    tables: tuple[PublishedTable, ...]

    def table(self, key: str, dataset: str) -> PublishedTable:
        """Choose a table for scenes of a data set.

        Args:
            key: Of the table; empty where the paper has one for the data set alone.
            dataset: As `pan3d_eval.datasets.DATASETS` names it.

        Returns:
            The table.

        Raises:
            ValueError: The paper has no such table, none or several for the data set.
        """
        fitting = {item.key: item for item in self.tables if item.dataset == dataset}
        if not fitting:
            known = ", ".join(sorted({item.dataset for item in self.tables}))
            raise ValueError(f"--protocol {self.key}: expected scenes in the layout of {known}, got {dataset or 'another one'}")
        if not key and len(fitting) == 1:
            return next(iter(fitting.values()))
        if key not in fitting:
            got = f"got {key!r}" if key else "got none"
            raise ValueError(f"--table: expected one of {', '.join(fitting)} for scenes of {dataset}, {got}")
        return fitting[key]
