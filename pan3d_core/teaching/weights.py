"""What each cue weighs, as `pan3d bench teach --fit` finds it on objects and scenes that nothing is judged on."""

from __future__ import annotations

from pan3d_core.teaching.matching import CueWeight, Weights

WEIGHTS = Weights(
    bias=8.0522,
    cues={
        "length": CueWeight(-0.725, 0.0454, -1.1911),
        "width": CueWeight(-0.6937, 0.0768, -1.0123),
        "spread of points": CueWeight(-0.6754, 0.4692, -0.846),
        "distances of points": CueWeight(-0.9624, 0.102, -0.9855),
        "all colours": CueWeight(-0.9339, 0.1072, -1.6495),
        "colours by view": CueWeight(-0.8891, 0.0926, -1.6398),
        "mean chroma": CueWeight(-0.0872, 0.014, -0.1381),
        "variety of colours": CueWeight(-0.3932, 0.0543, -0.3874),
        "texture": CueWeight(-1.2579, 0.0211, -1.828),
        "network features": CueWeight(-2.7772, 0.4056, -2.3956),
        "meaning": CueWeight(-0.2313, 0.0821, -0.2843),
    },
)
