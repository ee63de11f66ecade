"""Settings come from families, files and the command line in that order; schedules have their shapes."""

import math
from dataclasses import replace

import pytest
import yaml

from pan3d_core.settings import read_settings
from training.families import run_config
from training.run.schedules import average_decay, rate_factor
from training.settings import ScheduleConfig, TrainConfig
from training.train import parse

PLACES = {"data": "d", "out": "o"}


def test_families_files_and_options_override_each_other_in_turn(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        yaml.safe_dump({"family": "segvggt", "minutes": 7, "optimizer": {"weight_decay": 0.1, "beta1": 0.8}, **PLACES})
    )
    config, only_show = parse(["--config", str(path), "--set", "optimizer.beta1=7e-1", "--ranks", "3", "--print-settings"])
    assert only_show and config.family == "segvggt" and config.minutes == 7.0
    assert (config.optimizer.learning_rate, config.optimizer.lora_learning_rate) == (2e-4, 6e-5)
    assert (config.optimizer.weight_decay, config.optimizer.beta1, config.execution.ranks) == (0.1, 0.7, 3)
    assert run_config({"family": "pan3d-mini", **PLACES}).optimizer.learning_rate == 1e-3
    assert read_settings(TrainConfig, config.to_dict()) == config


def test_unknown_and_unfit_settings_are_named():
    for values, message in (
        ({"optimiser": {}}, "optimiser: expected one of family, data"),
        ({"optimizer": {"rate": 1}}, "optimizer.rate: expected one of learning_rate"),
        ({"optimizer": 3}, "optimizer: expected names with values"),
        ({"steps": "many"}, "steps: expected int, got 'many'"),
        ({"minutes": -1}, "minutes: expected a positive number"),
        ({"schedule": {"kind": "linear"}}, "ScheduleConfig.kind: expected one of cosine"),
        ({"sampling": {"view_counts": [2]}}, "view_weights: expected one weight for each"),
        ({"model": {"width": 9}, "family": "segvggt"}, None),
    ):
        values = {"family": "pan3d-mini", **PLACES, **values}
        if message is None:
            run_config(values)  # the family's own settings are its builder's matter
        else:
            with pytest.raises(ValueError, match=message):
                run_config(values)
    with pytest.raises(ValueError, match="family: expected one of pan3d-mini"):
        run_config({"family": "other", **PLACES})


def test_a_run_needs_its_places(capsys):
    with pytest.raises(SystemExit):
        parse(["--data", "d"])
    assert "--out is missing" in capsys.readouterr().err


def factors(kind: str, shares=(0.0, 0.5, 0.7, 0.9, 1.0)) -> list[float]:
    config = ScheduleConfig(kind=kind, warmup_steps=0, final=1e-3)
    return [rate_factor(config, 10**6, share) for share in shares]


def test_schedules_have_their_shapes():
    assert factors("constant") == [1.0] * 5
    assert factors("cosine") == pytest.approx(
        [1, 0.5, 0.5 * (1 + math.cos(0.7 * math.pi)), 0.5 * (1 + math.cos(0.9 * math.pi)), 1e-3]
    )
    assert factors("step") == pytest.approx([1, 1, 0.1, 0.01, 0.01])
    assert factors("exponential") == pytest.approx([1, 10**-1.5, 10**-2.1, 10**-2.7, 1e-3])
    assert factors("polynomial") == pytest.approx([1, 0.5**0.9, 0.3**0.9, 0.1**0.9, 1e-3])


def test_warm_up_rises_by_steps_and_groups_may_differ():
    config = ScheduleConfig(warmup_steps=4)
    assert [rate_factor(config, step, 0.0) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rate_factor(replace(config, kind="constant"), 9, 1.0, "exponential") == pytest.approx(1e-3)


def test_averaging_forgets_the_first_weights_quickly():
    assert average_decay(0.995, 0.999, 0, 0.0) == 0.1
    assert average_decay(0.995, 0.999, 10**6, 0.5) == pytest.approx(0.997)
    assert average_decay(0.995, 0.999, 10**6, 2.0) == pytest.approx(0.999)
