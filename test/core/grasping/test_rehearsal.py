"""What a rehearsal answers, and which object is taken first by several of them."""

import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.grasping.rehearsal import LEAST_SHARE, SHARE_OF_ONE, Rehearsal, RehearsedGrasp, not_rehearsed, rehearse_objects
from pan3d_core.structures import GraspTarget


def grasp(instance_id, score):
    return GraspTarget(instance_id, -1, score, torch.eye(4), 0.05, 0.1, OrientedBox(torch.eye(4), torch.full((3,), 0.05)))


def test_what_was_not_tried_says_why_and_keeps_its_order():
    grasps = [grasp(1, 0.9), grasp(1, 0.4)]
    answer = not_rehearsed(grasps, "there is no physics")
    assert list(answer.targets) == grasps and answer.message == "not rehearsed: there is no physics"
    assert answer.trials == 0 and not answer.complete and answer.grasps[0].survived == 0.0


def test_an_answer_counts_its_trials_in_words():
    tried = RehearsedGrasp(grasp(1, 0.9), 4, 3, 1, 0.5, ("missed",))
    waiting = RehearsedGrasp(grasp(1, 0.4), 0, 0, 0)
    answer = Rehearsal((tried, waiting), 4, 1.25, complete=False)
    assert answer.message == (
        "4 trials of 1 grasps in 1.2 s, until the time was over; the best one held in 3 of 4, in 1 without moving anything else"
    )
    assert tried.survived == 0.25
    nothing = Rehearsal((waiting,), 0, 0.3, complete=False).message
    assert nothing == "0 trials of 0 grasps in 0.3 s, until the time was over; none was tried to the end"


def rehearser(worth, seconds, asked):
    def rehearse(request):
        first = request.targets[0]
        asked.append((first.instance_id, request.budget_s))
        return Rehearsal((RehearsedGrasp(first, 1, 1, 1, worth[first.instance_id]),), 1, seconds, True)

    return rehearse


def test_objects_are_rehearsed_by_score_until_one_is_sure():
    asked = []
    targets = {1: [grasp(1, 0.5)], 2: [grasp(2, 0.9)], 3: [grasp(3, 0.7)], 4: []}
    found = rehearse_objects(rehearser({1: 0.99, 2: 0.2, 3: 0.95}, 0.5, asked), None, targets, 0.0, 3.0)
    assert [key for key, _ in asked] == [2, 3] and list(found) == [3, 2]
    assert all(budget == pytest.approx(SHARE_OF_ONE * 3.0) for _, budget in asked)


def test_objects_are_rehearsed_until_the_time_is_over():
    asked = []
    targets = {key: [grasp(key, 0.5)] for key in range(1, 9)}
    found = rehearse_objects(rehearser(dict.fromkeys(range(1, 9), 0.1), 1.0, asked), None, targets, 0.0, 2.5)
    assert [budget for _, budget in asked] == pytest.approx([1.0, 1.0, 0.5]) and len(found) == 3
    assert LEAST_SHARE * 2.5 > 2.5 - 3.0 and rehearse_objects(rehearser({}, 1.0, asked), None, {}, 0.0, 2.5) == {}
