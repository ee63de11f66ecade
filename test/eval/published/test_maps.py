"""PanopticSplatting's table on a folder in ScanNet's layout: refined, rendered, and judged as a slow, obvious way judges."""

import pytest
import torch
from published_scenes import write_scannet, write_scannetpp
from recalling_engine import Recalling
from slow_protocols import loose_pq

from pan3d_core.config import ModelConfig
from pan3d_core.engines import ENGINES
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.files import write_label_folder
from pan3d_core.refine.labels.sources import SceneLabels, labels_of_maps, things_first
from pan3d_eval.datasets import ViewSelection, read_dataset_scene
from pan3d_eval.published import PROTOCOLS, PublishedChoices, evaluate_published
from pan3d_eval.published.run import applied
from pan3d_eval.rendered import refined
from pan3d_eval.rendered.refined import refined_view_figures
from pan3d_eval.rendered.true_views import ClassList

SMALL = {"stride": 1, "steps": 8, "size": (72, 56)}


@pytest.fixture
def judged(monkeypatch):
    """Every (predicted, true, labels) that was compared."""
    seen, compare = [], refined.refined_view_figures

    def remembered(predicted, truth, labels):
        seen.append((predicted, truth, labels))
        return compare(predicted, truth, labels)

    monkeypatch.setattr(refined, "refined_view_figures", remembered)
    return seen


def slow(seen):
    predicted, truth, labels = seen
    return loose_pq(*([item.numpy() for item in pair] for pair in (predicted, truth)), labels.is_thing)


def measured(folder, out, **more):
    model = ModelConfig(name=more.pop("engine", "pan3d-mini"), device="cpu")
    found = evaluate_published([folder], PROTOCOLS["panopticsplatting"], model, PublishedChoices(**{**SMALL, **more}), out)
    assert not found.failures
    return found


def test_the_table_is_what_the_description_gives(tmp_path, judged):
    pytest.importorskip("gsplat")  # of which the setting's density is
    found = measured(write_scannet(tmp_path), tmp_path / "out", labels="truth")
    (seen,) = judged
    assert seen[2].names == ("lamp", "chair", "sofa", "box", "floor") and seen[1][0].shape == (4, 56, 72)
    assert found.figures["loose_pq"] == pytest.approx(slow(seen), abs=1e-6) and 0.3 < found.figures["loose_pq"] <= 1
    assert found.changed == (
        "which images of a recording are taken", "8 steps instead of 30000", "views of 72 x 56 instead of 640 x 480",
        "2D labels: truth (the paper: Grounded-SAM)",
    )  # fmt: skip


def test_without_gsplat_the_number_of_gaussians_stays_and_the_table_says_so(monkeypatch):
    table = PROTOCOLS["panopticsplatting"].tables[0]
    monkeypatch.setattr("pan3d_eval.published.run.find_spec", lambda name: None)
    chosen, changed = applied(table, PublishedChoices())
    assert (table.setting.density, chosen.setting.density) == ("gsplat", "none") and "gsplat is not installed" in changed[0]


@pytest.mark.slow
def test_labels_come_from_folders_or_from_an_engine(tmp_path, judged, monkeypatch):
    folder = write_scannet(tmp_path)
    scene = read_dataset_scene(folder, ViewSelection(0))
    classes = things_first(ClassList.of_scene(scene).labels)
    made = SceneLabels(classes, tuple(
        labels_of_maps(view.image, torch.full(view.hw, classes.names.index("floor")), ids * 0, classes)
        for view, ids in zip(scene.views, scene.truth.instance_ids, strict=True)
    ))  # fmt: skip
    write_label_folder(tmp_path / "labels" / "scene0000_00", made, [view.camera for view in scene.views])
    alone = measured(folder, tmp_path / "out", labels=str(tmp_path / "labels"), steps=4)
    monkeypatch.setitem(ENGINES, "recalling", lambda config: Recalling(("lamp", "chair", "sofa", "box")))
    found = measured(folder, tmp_path / "out", engine="recalling", steps=4)
    # Everything is floor in the folder; the engine knows objects, badly, and nothing of floors.
    assert 0 < alone.figures["loose_pq"] < 0.3 and found.figures["loose_pq"] == 0 < found.figures["mean_coverage"]
    assert found.changed[-1] == "2D labels: of the engine (the paper: Grounded-SAM)"
    assert [figures["loose_pq"] for figures in (alone.figures, found.figures)] == pytest.approx(list(map(slow, judged)), abs=1e-6)


def test_made_maps_with_every_oddity():
    generator = torch.Generator().manual_seed(2)
    labels, shape = LabelSpace(("a", "b", "wall"), (True, True, False)), (2, 48, 64)
    ids = (torch.arange(48)[:, None] // 12 * 4 + torch.arange(64) // 16).expand(shape) % 9
    kinds = torch.where(ids == 8, -1, ids % 3)
    noise = torch.rand(shape, generator=generator)
    found = torch.where(noise < 0.3, torch.randint(-1, 3, shape, generator=generator), kinds)
    found_ids = torch.where(noise > 0.8, torch.randint(0, 9, shape, generator=generator), (ids + 1) % 9)
    thing = torch.tensor([True, True, False, False])
    predicted, truth = (found, torch.where(thing[found], found_ids, 0)), (kinds, torch.where(thing[kinds], ids, 0))
    assert refined_view_figures(predicted, truth, labels).loose_pq == pytest.approx(slow((predicted, truth, labels)), abs=1e-6)


def test_a_scene_without_depth_is_left_out_by_name(tmp_path):
    folder = write_scannetpp(tmp_path) / "dslr"
    choices = PublishedChoices(**SMALL, labels="truth")
    found = evaluate_published(
        [folder], PROTOCOLS["panopticsplatting"], ModelConfig(name="pan3d-mini"), choices, tmp_path / "out"
    )
    assert [item.message for item in found.failures] == [
        "scene a1b2c3/dslr: depth: expected it of one view at least, for the first Gaussians, got none"
    ]
