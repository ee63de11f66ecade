"""What builders of engines ask whose weights are not part of pan3d."""

from __future__ import annotations

from pan3d_core.config import ModelConfig


def named_weights(config: ModelConfig, kind: str, licence_note: str) -> str:
    """Return the path of the checkpoint that the configuration names.

    Args:
        config: `weights`.
        kind: What has to be there, with its article.
        licence_note: Terms of such weights, for whoever has none yet.

    Returns:
        The path, of which nothing is known yet.

    Raises:
        ValueError: None is named.
    """
    if not config.weights:
        raise ValueError(f"ModelConfig.weights: expected the path of {kind}, got none. {licence_note}")
    return config.weights
