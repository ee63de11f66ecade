"""A click, a box or a point in space to an object, as a user interface or another program gives them.

Shows that selection needs no words: pixels are those of the original picture of one camera.
"""

from __future__ import annotations

from pathlib import Path

import torch

from pan3d_core import reconstruct, select_by_box, select_by_pixels, select_by_point

CELL = Path(__file__).parent / "data" / "cell"


def main() -> None:
    """Click on the largest object of the first camera's picture, and find it again in two other ways."""
    result = reconstruct(sorted(CELL.glob("*.jpg")), cameras=CELL / "cameras.json")
    segment = max(result.panoptic.segments, key=lambda item: item.num_points)

    # Where that object is in the picture: at network size, and from there in the picture that the camera gave.
    rows, columns = torch.nonzero(result.panoptic.instance_id[0] == segment.instance_id, as_tuple=True)
    corners = torch.tensor([[columns.min(), rows.min(), 1.0], [columns.max(), rows.max(), 1.0]])
    original = corners @ torch.linalg.inv(result.views.network_from_original[0]).T
    (left, top), (right, bottom) = original[:, :2].tolist()

    boxed = select_by_box(result, (left - 1, top - 1, right + 1, bottom + 1), result.views.cameras[0])
    clicked = select_by_pixels(result, [((left + right) / 2, (top + bottom) / 2)], camera=result.views.cameras[0])
    near = select_by_point(result, segment.box.world_from_box[:3, 3].tolist())
    for way, found in (("box", boxed), ("click", clicked), ("point", near)):
        print(f"{way}: object {found.best}, {found.explanation}")


if __name__ == "__main__":
    main()
