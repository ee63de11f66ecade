"""Grasps rehearsed in a twin of what is perceived: what holds, what moves others, and what there was no time for."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from surface_scenes import as_scene, box_surface

from pan3d_core.config import GraspConfig, GripperConfig, RehearsalConfig
from pan3d_core.grasping.planner import select_grasps
from pan3d_core.grasping.rehearsal import RehearsalRequest
from pan3d_sim import rehearsal
from pan3d_sim.rehearsal import NoPhysics, build_rehearser
from pan3d_sim.rehearsal.film import write_film
from pan3d_sim.rehearsal.trials import GraspRehearser

CALM = RehearsalConfig(rounds=2, candidates=2)


def untimed(config=CALM):
    """Whatever this machine does meanwhile, all rounds are run."""
    return GraspRehearser(config, clock=lambda: 0.0)


def post(x=0.0, height=0.10):
    return box_surface(np.array([x, 0.0, height / 2]), np.array([0.04, 0.05, height]), np.random.default_rng(1))


def test_a_free_box_survives_and_a_grasp_beside_it_does_not():
    scene = as_scene(post())
    good = select_grasps(scene, 1, None, 0.0).targets[0]
    beside = good.world_from_grasp.clone()
    beside[2, 3] += 0.12
    answer = untimed()(RehearsalRequest(scene, [replace(good, world_from_grasp=beside, score=0.99), good], 0.0))
    first, last = answer.grasps
    assert first.grasp is good and (first.trials, first.lifted, first.clean) == (2, 2, 2) and first.worth > 0.9
    assert last.lifted == 0 and last.failures == ("missed",) and answer.complete and answer.trials == 4
    assert "held in 2 of 2, in 2 without moving anything else" in answer.message
    again = untimed()(RehearsalRequest(scene, [good], 0.0))
    assert again.grasps[0] == replace(first)  # what is drawn is drawn by the seed


def test_what_something_lies_on_moves_it():
    """A slab that lies over a post and sticks out on both sides comes along when the post is lifted."""
    slab = box_surface(np.array([0.0, 0.0, 0.108]), np.array([0.05, 0.20, 0.014]), np.random.default_rng(2))
    free = as_scene(post())
    grasp = select_grasps(free, 1, None, 0.0).targets[0]
    low = grasp.world_from_grasp.clone()  # from the side, below the slab
    low[:3, :3] = low.new_tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    low[:3, 3] = low.new_tensor([0.0, 0.0, 0.06])
    sideways = replace(grasp, world_from_grasp=low, opening_m=0.07)
    alone, under = (untimed()(RehearsalRequest(scene, [sideways], 0.0)).grasps[0] for scene in (free, as_scene(post(), slab)))
    assert (alone.lifted, alone.clean) == (2, 2) and (under.lifted, under.clean) == (2, 0) and under.worth < alone.worth - 0.4


def test_a_rehearsal_ends_when_its_time_is_over():
    scene = as_scene(post())
    targets = select_grasps(scene, 1, None, 0.0).targets
    assert len(targets) > 2
    ticks = iter(np.arange(0.0, 1e3, 0.05))
    rehearser = GraspRehearser(RehearsalConfig(budget_s=1.0, threads=1), clock=lambda: float(next(ticks)))
    answer = rehearser(RehearsalRequest(scene, targets, 0.0))
    assert not answer.complete and 0 < answer.trials < len(targets) and 1.0 < answer.seconds < 1.5
    assert "until the time was over" in answer.message and len(answer.targets) == len(targets)
    waiting = [item for item in answer.grasps if not item.trials]
    assert waiting == list(answer.grasps[-len(waiting) :])  # after all that were tried
    less = GraspRehearser(clock=iter(np.arange(0.0, 1e3, 0.5)).__next__)(RehearsalRequest(scene, targets, 0.0, 0.4))
    assert less.trials == 0 and not less.complete and list(less.targets) == list(targets)


def test_what_cannot_be_tried_is_said():
    scene = as_scene(post(), post(0.3))
    first, second = (select_grasps(scene, key, None, 0.0).targets for key in (1, 2))
    assert untimed()(RehearsalRequest(scene, [], 0.0)).message == "not rehearsed: there is no grasp to try"
    blind = untimed()(RehearsalRequest(scene, first, None))
    assert blind.message == "not rehearsed: the height of the support is not known" and blind.targets == tuple(first)
    with pytest.raises(ValueError, match=r"targets: expected grasps of one object, got \[1, 2\]"):
        untimed()(RehearsalRequest(scene, [first[0], second[0]], 0.0))
    points, normals = post()
    few = as_scene((points[:5], normals[:5]))
    assert untimed()(RehearsalRequest(few, first, 0.0)).problem == "too few points of the object were seen"
    assert untimed().twins(few, 1, 0.0) == []


def test_without_mujoco_the_order_stays_and_the_answer_says_why(monkeypatch):
    def missing(name):
        def load(place):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        monkeypatch.setattr(rehearsal, "load", load)

    scene = as_scene(post())
    targets = select_grasps(scene, 1, None, 0.0).targets
    assert isinstance(build_rehearser(CALM), GraspRehearser)
    missing("mujoco")
    rehearser = build_rehearser(CALM)
    assert isinstance(rehearser, NoPhysics)
    answer = rehearser(RehearsalRequest(scene, targets, 0.0))
    assert answer.targets == tuple(targets) and "pip install 'pan3d[sim]'" in answer.message
    missing("torch")
    with pytest.raises(ModuleNotFoundError, match="torch"):
        build_rehearser(CALM)


def test_the_film_shows_the_last_and_the_first_in_every_twin(tmp_path):
    scene = as_scene(post())
    good = select_grasps(scene, 1, None, 0.0).targets[0]
    rehearser = untimed(RehearsalConfig(rounds=1))
    rehearsed = rehearser(RehearsalRequest(scene, [good], 0.0))
    assert write_film(tmp_path / "film.gif", rehearser, scene, rehearsed, 0.0)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3 * 6  # alternatives, phases
        edge = np.asarray(film.convert("RGB"))[0, 0].astype(int)
    assert edge[1] > edge[0] + 40  # green
    nothing = rehearser(RehearsalRequest(scene, [], 0.0))
    assert not write_film(tmp_path / "none.gif", rehearser, scene, nothing, 0.0) and not (tmp_path / "none.gif").exists()


def test_a_cup_is_rehearsed_as_well():
    box = box_surface(np.array([0.0, 0.0, 0.05]), np.array([0.07, 0.08, 0.10]), np.random.default_rng(1))
    scene, config = as_scene(box), GraspConfig(gripper=GripperConfig(kind="suction"))
    grasp = select_grasps(scene, 1, config, 0.0).targets[0]
    rehearser = GraspRehearser(CALM, config.gripper, clock=lambda: 0.0)
    beside = grasp.world_from_grasp.clone()
    beside[0, 3] += 0.035  # over the edge
    best, worst = rehearser(RehearsalRequest(scene, [replace(grasp, world_from_grasp=beside, score=0.99), grasp], 0.0)).grasps
    assert best.grasp is grasp and (best.lifted, best.clean) == (2, 2) and worst.failures == ("missed",)
