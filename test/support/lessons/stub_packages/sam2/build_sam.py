from pathlib import Path


class Network:
    def __init__(self, config_file, ckpt_path, device):
        self.config_file, self.content, self.device = config_file, Path(ckpt_path).read_bytes(), device


def build_sam2(
    config_file, ckpt_path=None, device="cuda", mode="eval", hydra_overrides_extra=(), apply_postprocessing=True, **kwargs
):
    assert config_file.startswith("configs/") and mode == "eval"
    return Network(config_file, ckpt_path, device)
