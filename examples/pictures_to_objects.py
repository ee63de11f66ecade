"""Pictures of a table to named objects in metres, in one call.

Shows `reconstruct` on four pictures with calibrated cameras, and what a result holds.
"""

from __future__ import annotations

from pathlib import Path

from pan3d_core import reconstruct

CELL = Path(__file__).parent / "data" / "cell"


def main() -> None:
    """Print one line an object."""
    result = reconstruct(sorted(CELL.glob("*.jpg")), cameras=CELL / "cameras.json")
    panoptic = result.panoptic
    print(f"{len(panoptic.points)} points, metric: {result.is_metric}, {result.timings_ms['total']:.0f} ms")
    for segment in panoptic.segments:
        x, y, z = segment.box.world_from_box[:3, 3].tolist()
        size_cm = " x ".join(f"{100 * side:.0f}" for side in segment.box.size_m.tolist())
        name = panoptic.labels.names[segment.class_id]
        print(f"{segment.instance_id:2} {name:8} {segment.class_score:.2f} at {x:+.2f} {y:+.2f} {z:+.2f} m, {size_cm} cm")


if __name__ == "__main__":
    main()
