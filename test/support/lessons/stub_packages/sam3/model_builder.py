from pathlib import Path


def build_sam3_image_model(
    bpe_path=None, device="cpu", eval_mode=True, checkpoint_path=None, load_from_HF=True, enable_segmentation=True,
    enable_inst_interactivity=False, compile=False,
):  # fmt: skip
    assert not load_from_HF and Path(checkpoint_path).is_file()
    return {"device": device}
