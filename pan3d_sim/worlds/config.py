"""Worlds by name: which parts of a scene are varied beyond what the plain cell shows, and how far."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_sim.cameras.effects import EffectRanges

CELL = "cell"


@dataclass(frozen=True)
class SurfaceRanges:
    """Tables and floors of any colour, made by rule or photographed."""

    count: int = 16  # that one bank of objects has to choose from
    photograph_share: float = 0.5  # of them, where photographs are at hand
    tinted_share: float = 0.35  # of the scenes' surfaces: grey values under one colour of any kind


@dataclass(frozen=True)
class LightRanges:
    """From dim to glaring, from one hard lamp to soft light from everywhere, white or coloured."""

    exposure: tuple[float, float] = (0.6, 1.5)  # factor on all light, even in its logarithm
    ambient: tuple[float, float] = (0.2, 0.65)  # share of the light that comes from everywhere
    elevation_deg: tuple[float, float] = (18.0, 85.0)
    kelvin: tuple[float, float] = (2700.0, 10000.0)
    colored_share: float = 0.08  # of the scenes: light of one strong colour
    soft_share: float = 0.3  # of the scenes: the main light is wide, its shadow has a rim
    environment_share: float = 0.5  # of the scenes: light as in the photographed surroundings, where there are some
    hidden_share: float = 0.2  # of the scenes: no shadows at all
    lamp_share: float = 0.3  # of the scenes: a lamp near the table beside the main light


@dataclass(frozen=True)
class CameraRanges:
    """Lenses and places of cameras. The distance follows from the lens and from how large the workspace appears."""

    field_of_view_deg: tuple[float, float] = (35.0, 110.0)  # along the width
    fill: tuple[float, float] = (0.55, 1.5)  # width of the workspace relative to that of the picture
    distance_m: tuple[float, float] = (0.25, 2.0)
    elevation_deg: tuple[float, float] = (25.0, 80.0)
    low_share: float = 0.2  # of the scenes, whose cameras are all low
    low_elevation_deg: tuple[float, float] = (10.0, 25.0)
    roll_deg: float = 8.0
    ring_share: float = 0.35  # of the scenes, with cameras all around
    support_height_m: tuple[float, float] = (-0.6, 0.9)
    level_share: float = 0.5  # of the scenes, whose support stays at height 0


@dataclass(frozen=True)
class SurroundingsRanges:
    """What stands around the workspace."""

    walls_share: float = 0.7  # of the scenes; the others end at the sky
    clutter: tuple[int, int] = (0, 15)  # things beside and behind the workspace, both ends included
    shelf_share: float = 0.3
    arm_share: float = 0.25
    floor_share: float = 0.12  # of the scenes: objects stand on the floor
    round_share: float = 0.15  # of the scenes: round tables
    table_half_m: tuple[float, float] = (0.3, 0.9)
    floor_depth_m: tuple[float, float] = (0.4, 1.1)


@dataclass(frozen=True)
class WorldConfig:
    """What is varied; None = as in the plain cell."""

    surfaces: SurfaceRanges | None = None
    lights: LightRanges | None = None
    cameras: CameraRanges | None = None
    surroundings: SurroundingsRanges | None = None
    effects: EffectRanges | None = None


WORLDS: dict[str, WorldConfig] = {
    CELL: WorldConfig(),
    "surfaces": WorldConfig(surfaces=SurfaceRanges()),
    "lights": WorldConfig(lights=LightRanges()),
    "cameras": WorldConfig(cameras=CameraRanges()),
    "surroundings": WorldConfig(surfaces=SurfaceRanges(), surroundings=SurroundingsRanges()),
    "effects": WorldConfig(effects=EffectRanges()),
    "tinted": WorldConfig(surfaces=SurfaceRanges(photograph_share=0.0, tinted_share=1.0)),
    "low": WorldConfig(cameras=CameraRanges(low_share=1.0, low_elevation_deg=(10.0, 20.0))),
    # Two metres away, by a lens that shows a mug at some 40 of 320 pixels.
    "far": WorldConfig(
        cameras=CameraRanges(field_of_view_deg=(15.0, 19.0), fill=(0.8, 1.0), distance_m=(1.8, 2.2), low_share=0.0)
    ),
    "wild": WorldConfig(SurfaceRanges(), LightRanges(), CameraRanges(), SurroundingsRanges(), EffectRanges()),
}
