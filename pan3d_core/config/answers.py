"""Settings of what is made of a result when somebody asks: grasps and names."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.settings import ANGLE_DEG, SHARE, Checked, group, setting


@dataclass(frozen=True)
class SuctionConfig(Checked):
    """A suction cup whose axis is the approach; it counts where `gripper.kind` is suction."""

    radius_m: float = setting(0.015, "radius of the lip", range=(0.002, 0.2), read_only=True)
    give_m: float = setting(0.002, "how far the lip follows a surface that is not flat", range=(0.0002, 0.05), read_only=True)
    body_radius_m: float = setting(0.020, "radius of what carries the cup", range=(0.002, 0.5), read_only=True)
    body_length_m: float = setting(
        0.120, "length of the cup and of what carries it, along the approach", range=(0.01, 1.0), read_only=True
    )
    pressure_kpa: float = setting(50.0, "pressure below that of the air while it is sealed", range=(1.0, 101.0))
    friction: float = setting(0.5, "friction coefficient between lip and object", range=(0.05, 2.0))
    density_kg_m3: float = setting(
        400.0, "weight of objects for the volume of their convex hull: nothing weighs them", range=(1.0, 20_000.0)
    )
    load_factor: float = setting(3.0, "it must hold so many times the weight, as it is moved", range=(1.0, 100.0))


@dataclass(frozen=True)
class FingertipConfig(Checked):
    """The last part of both fingers, which carries the pads, where it is slimmer than the finger."""

    length_m: float = setting(
        0.0, "from the tips, along the approach; 0 = fingers are boxes up to their tips", range=(0.0, 0.5), read_only=True
    )
    thickness_m: float = setting(0.010, "size along the closing direction", range=(0.001, 0.2), read_only=True)
    breadth_m: float = setting(0.020, "size across closing and approach", range=(0.001, 0.2), read_only=True)


@dataclass(frozen=True)
class GripperConfig(Checked):
    """A parallel-jaw hand, or a suction cup. Finger and palm sizes are (closing direction, sideways, along the approach)."""

    kind: str = setting("parallel", "parallel: two jaws; suction: one cup", choices=("parallel", "suction"), read_only=True)
    suction: SuctionConfig = group(SuctionConfig, "the cup of a suction gripper")
    max_width_m: float = setting(0.08, "largest opening between the pads", range=(0.001, 1.0), read_only=True)
    min_width_m: float = setting(
        0.0, "smallest opening, to which it closes; what is thinner is not held", range=(0.0, 1.0), read_only=True
    )
    finger_thickness_m: float = setting(0.010, "finger size along the closing direction", range=(0.001, 0.2), read_only=True)
    finger_breadth_m: float = setting(0.020, "finger size across closing and approach", range=(0.001, 0.2), read_only=True)
    finger_length_m: float = setting(0.050, "finger size along the approach, palm to tip", range=(0.005, 0.5), read_only=True)
    tip_beyond_tcp_m: float = setting(0.010, "tips end this far beyond the grasp point", range=(0.0, 0.5), read_only=True)
    palm_width_m: float = setting(0.120, "palm size along the closing direction", range=(0.005, 1.0), read_only=True)
    palm_breadth_m: float = setting(0.040, "palm size across closing and approach", range=(0.005, 1.0), read_only=True)
    palm_length_m: float = setting(0.040, "palm size along the approach", range=(0.005, 1.0), read_only=True)
    fingertip: FingertipConfig = group(FingertipConfig, "the fingers' last part")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, most in (
            ("min_width_m", self.min_width_m, self.max_width_m),
            ("fingertip.length_m", self.fingertip.length_m, self.finger_length_m),
        ):
            if value > most:
                raise ValueError(f"GripperConfig.{name}: expected at most {most:g}, got {value:g}")


@dataclass(frozen=True)
class GraspConfig(Checked):
    """Search for grasps."""

    gripper: GripperConfig = group(GripperConfig, "shape of the hand")
    approach_distance_m: float = setting(0.10, "free way along the approach, from pre-grasp to grasp", range=(0.0, 1.0))
    max_tilt_deg: float = setting(75.0, "largest angle between approach and straight down", range=ANGLE_DEG)
    friction: float = setting(0.5, "friction coefficient between pads and object", range=(0.05, 2.0))
    clearance_m: float = setting(0.010, "free space between pad and object on each side before closing", range=(0.0, 0.1))
    collision_margin_m: float = setting(0.003, "distance that the hand keeps from everything else", range=(0.0, 0.1))
    max_width_fraction: float = setting(0.95, "widest object, as a fraction of the opening", range=(0.1, 1.0))
    num_pairs: int = setting(120, "contact pairs that are tried", range=(10, 100_000))
    num_directions: int = setting(12, "approach directions around each contact pair", range=(1, 180))
    max_targets: int = setting(10, "most grasps returned", range=(1, 1000))
    order: str = setting(
        "analytic",
        "grasps of two jaws are ordered by the analytic score, or by how likely a network that has learnt from trials in physics "
        "calls a clean lift (learnt; only for the default hand)",
        choices=("analytic", "learnt"),
    )


@dataclass(frozen=True)
class NamingConfig(Checked):
    """From words to objects."""

    none_similarity: float = setting(
        0.5, "cosine of two meanings from which the same thing is more likely meant than not", range=(-1.0, 1.0)
    )
    similarity_temperature: float = setting(0.05, "cosine difference that changes the odds by a factor of e", range=(0.001, 1.0))
    class_weight: float = setting(
        0.5, "weight of the class head against the text-aligned embedding in what a segment is believed to be", range=SHARE
    )
    # Kinds that look alike from afar share their probability (a ball and a block), so what fits may be far below one half.
    min_score: float = setting(0.15, "a prompt is answered when a segment fits at least this well", range=SHARE)
    encoder: str = setting(
        "auto",
        "text encoder: auto = that of the engine's text space, else minilm; vectors of another one cannot be compared",
        choices=("auto", "minilm", "clip-vit-b32", "lseg"),
        read_only=True,
    )
    encoder_weights: str = setting(
        "",
        "weights of the text encoder: none for minilm, a folder in Hugging Face layout for clip-vit-b32, demo_e200.ckpt with "
        "CLIP's vocab.json and merges.txt beside it for lseg",
        read_only=True,
    )
    templates: tuple[str, ...] = setting(
        (),
        "words outside the known names are said in these ways, each with {} once, and averaged; empty = as they are",
        read_only=True,
    )


@dataclass(frozen=True)
class ObjectsConfig(Checked):
    """Objects that were taught by showing them."""

    folder: str = setting("", "folder of taught objects, which are then found by their names; empty = none", read_only=True)
    min_probability: float = setting(
        0.5,
        "an object is called by a taught name from this probability on that it is that one; less likely ones are not it",
        range=SHARE,
    )
