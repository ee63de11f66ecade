"""What each cue weighs, as `pan3d bench teach --fit` finds it on objects and scenes that nothing is judged on."""

from __future__ import annotations

from pan3d_core.teaching.matching import CueWeight, Weights

WEIGHTS = Weights(
    bias=12.7741,
    cues={
        "length": CueWeight(-0.8303, 0.053, -1.2762),
        "width": CueWeight(-0.6039, 0.0636, -0.9265),
        "spread of points": CueWeight(-0.4179, 0.4643, -0.5182),
        "distances of points": CueWeight(-0.781, 0.1046, -0.7871),
        "all colours": CueWeight(-0.4491, 0.0948, -0.8187),
        "colours by view": CueWeight(-0.6286, 0.086, -1.1733),
        "mean chroma": CueWeight(0.0, 0.0159, 0.0),
        "variety of colours": CueWeight(0.0, 0.053, 0.0),
        "texture": CueWeight(-0.6795, 0.0199, -0.9791),
        "learnt look": CueWeight(-7.0511, 0.3478, -7.0223),
        "network features": CueWeight(-2.3474, 0.403, -2.0003),
        "meaning": CueWeight(-0.3309, 0.0708, -0.4411),
    },
)
