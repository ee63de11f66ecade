"""What each cue weighs, as `pan3d bench teach --fit` finds it on objects and scenes that nothing is judged on."""

from __future__ import annotations

from pan3d_core.teaching.matching import CueWeight, Weights

_BLIND = Weights(
    bias=7.4758,
    cues={
        "length": CueWeight(-0.7488, 0.0395, -1.3115),
        "width": CueWeight(-0.4756, 0.0567, -0.8044),
        "spread of points": CueWeight(-1.2594, 0.3408, -1.8045),
        "distances of points": CueWeight(-2.1179, 0.0986, -2.1891),
        "all colours": CueWeight(-1.0686, 0.1183, -1.9054),
        "colours by view": CueWeight(-1.1592, 0.1003, -2.1677),
        "mean chroma": CueWeight(0.0, 0.013, 0.0),
        "variety of colours": CueWeight(-0.276, 0.0487, -0.2777),
        "texture": CueWeight(-0.9737, 0.022, -1.3868),
    },
)
WEIGHTS = Weights(
    bias=12.6406,
    cues={
        "length": CueWeight(-0.6299, 0.0395, -1.1033),
        "width": CueWeight(-0.3419, 0.0567, -0.5783),
        "spread of points": CueWeight(-1.0238, 0.3408, -1.467),
        "distances of points": CueWeight(-1.7741, 0.0986, -1.8338),
        "all colours": CueWeight(-0.5628, 0.1183, -1.0036),
        "colours by view": CueWeight(-0.6608, 0.1003, -1.2357),
        "mean chroma": CueWeight(0.0, 0.013, 0.0),
        "variety of colours": CueWeight(0.0, 0.0487, 0.0),
        "texture": CueWeight(-0.2836, 0.022, -0.404),
        "learnt look": CueWeight(-7.1126, 0.2513, -8.0322),
        "network features": CueWeight(-0.2449, 0.3498, -0.2243),
        "meaning": CueWeight(0.0, 0.1287, 0.0),
    },
    blind=_BLIND,
)
