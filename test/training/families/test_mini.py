"""`pan3d-mini` goes on from its own weight files: what they hold arrives, what is new stays fresh, other files are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from trainers import trainer_of

from pan3d_core.engines.mini import DEFAULT_WEIGHTS, SHIPPED, read_checkpoint
from pan3d_core.models.mini.sweep import HEIGHTS_M
from training.data.arrays import ShardSet
from training.data.augment import plain_inputs
from training.data.targets.text import load_text_targets
from training.export.mini import export_weights
from training.families import build_family, run_config
from training.families.mini import MiniFamily
from training.families.starting.mini import start_architecture


def exported(run_values, data_folder, out: Path, **model) -> dict:
    """A weight file of a tiny network; the state that it came from."""
    state = trainer_of(run_values("pan3d-mini", model=model)).state({})
    export_weights(state, load_text_targets(data_folder / "text_embeddings.npz"), {}, out)
    return state


def test_a_run_starts_from_a_weight_file_with_the_architecture_that_the_file_names(run_values, data_folder, tmp_path):
    out = tmp_path / "mini.safetensors"
    state = exported(run_values, data_folder, out)
    values = run_values("pan3d-mini", start_from=str(out))
    second = trainer_of({**values, "model": {}})
    assert second.step == 0 and second.family.architecture == state["architecture"]
    for name, value in second.model.state_dict().items():
        torch.testing.assert_close(value, state["ema"][name].half().to(value.dtype), rtol=0, atol=0)
    assert second.train_step()["total"] > 0


def test_a_network_with_more_queries_keeps_those_that_it_had(run_values, data_folder, tmp_path, caplog):
    out = tmp_path / "mini.safetensors"
    state = exported(run_values, data_folder, out)
    grown = trainer_of(run_values("pan3d-mini", model={"queries": 9}, start_from=str(out))).model.decoder.learned
    torch.testing.assert_close(grown[:6], state["ema"]["decoder.learned"].half().float(), rtol=0, atol=0)
    assert len(grown) == 9 and float(grown[6:].detach().std()) > 0.1 and "3 more start fresh" in caplog.text
    with pytest.raises(ValueError, match=r"start_from: expected decoder.learned of shape \(4, 48\), got .* with \(6, 48\)"):
        trainer_of(run_values("pan3d-mini", model={"queries": 4}, start_from=str(out)))


def test_the_embedded_checkpoint_is_a_start(run_values):
    values = run_values("pan3d-mini", start_from=str(DEFAULT_WEIGHTS))
    family = MiniFamily(run_config({**values, "model": {"queries": 32}}))
    assert family.architecture["queries"] == 32
    model = family.build()
    family.load(model, str(DEFAULT_WEIGHTS))
    shipped = read_checkpoint(DEFAULT_WEIGHTS).model.state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in model.state_dict().items() if name != "decoder.learned")


def test_heights_below_the_support_join_without_changing_the_answer(run_values, data_folder, tmp_path):
    out = tmp_path / "mini.safetensors"
    exported(run_values, data_folder, out)
    heights = [-0.1, -0.05, *HEIGHTS_M]
    first, second = (
        trainer_of(run_values("pan3d-mini", start_from=str(out), model=model)).model.eval()
        for model in ({}, {"sweep_heights": heights, "image_stem": True})
    )
    inputs = plain_inputs(ShardSet(data_folder / "val").batch(np.array([0]), [np.arange(3)]), posed=True)
    with torch.no_grad():
        torch.testing.assert_close(second(inputs).log_ratio, first(inputs).log_ratio, rtol=0, atol=1e-5)


def test_the_image_stem_takes_one_published_file_only(run_values, tmp_path):
    (tmp_path / "stem.pth").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"model.image_stem_weights: expected efficientnet-lite0-57934424.pth .* got .*stem.pth"):
        trainer_of(run_values("pan3d-mini", model={"image_stem": True, "image_stem_weights": str(tmp_path / "stem.pth")}))
    with pytest.raises(ValueError, match="expected image_stem: true beside it"):
        trainer_of(run_values("pan3d-mini", model={"image_stem_weights": str(tmp_path / "stem.pth")}))


@pytest.mark.parametrize("kind", ["missing", "damaged", "kin", "official"])
def test_files_that_are_no_start_are_refused_by_name(run_values, tmp_path, kind):
    path = {"kin": SHIPPED["pan3d-mini-fast3dis"], "official": tmp_path / "vggt.pt"}.get(kind, tmp_path / "mini.safetensors")
    if kind == "damaged":
        path.write_bytes(DEFAULT_WEIGHTS.read_bytes()[:100_000])
    if kind == "official":
        torch.save({"aggregator.camera_token": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=rf"start_from: expected .*{path.name}"):
        trainer_of(run_values("pan3d-mini", start_from=str(path)))


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "pan3d-mini"])
def test_networks_on_the_small_one_go_on_from_their_own_files(run_data, tmp_path, name, caplog):
    values = {"family": name, "data": str(run_data), "out": str(tmp_path), "start_from": str(SHIPPED[name])}
    family = build_family(run_config(values))
    model, shipped = family.build(), read_checkpoint(SHIPPED[name], name).model
    with caplog.at_level("INFO", "pan3d.training"):
        family.load(model, str(SHIPPED[name]))
    own = model.state_dict()
    assert all(torch.equal(own[key], value) for key, value in shipped.state_dict().items())
    assert f"{len(own)} tensors kept of {SHIPPED[name]}, 0 begin fresh" in caplog.text
    other = next(path for kin, path in SHIPPED.items() if kin not in (name, "pan3d-mini"))
    with pytest.raises(ValueError, match=f"start_from: expected a weight file of pan3d-mini or {name}, got .*{other.name}"):
        build_family(run_config({**values, "start_from": str(other)})).load(model, str(other))


def test_the_architecture_of_other_files_is_not_known(tmp_path):
    assert start_architecture("") == {} and start_architecture(str(tmp_path / "run.pt")) == {}
    assert start_architecture(str(tmp_path / "missing.safetensors")) == {}
    assert start_architecture(str(SHIPPED["pan3d-mini-fast3dis"])) == {}
