"""What each cue weighs, as `pan3d bench teach --fit` finds it on objects and scenes that nothing is judged on."""

from __future__ import annotations

from pan3d_core.teaching.matching import CueWeight, Weights

WEIGHTS = Weights(
    bias=7.012,
    cues={
        "length": CueWeight(-0.968, 0.0543, -1.468),
        "width": CueWeight(-0.835, 0.0499, -1.435),
        "spread of points": CueWeight(-0.717, 0.3653, -0.998),
        "distances of points": CueWeight(-1.254, 0.1065, -1.252),
        "all colours": CueWeight(-1.041, 0.1076, -1.796),
        "colours by view": CueWeight(-1.151, 0.0961, -2.031),
        "mean chroma": CueWeight(-0.097, 0.0133, -0.153),
        "variety of colours": CueWeight(-0.032, 0.0536, -0.031),
        "network features": CueWeight(-2.088, 0.4486, -1.761),
        "meaning": CueWeight(-0.285, 0.0978, -0.333),
    },
)
