"""3D Gaussians as the PLY file of Kerbl et al. (2023), which public viewers open and other programs write.

Per Gaussian: x y z, nx ny nz (0), f_dc_0..2, f_rest_*, opacity, scale_0..2, rot_0..3; binary, little endian, float32. Opacity
is stored as its logit, scales as logarithms, rotations as unit quaternions w x y z, colours as spherical harmonics: f_dc is
degree 0 and f_rest everything above, first all coefficients of red, then green, then blue. Ids, names, features and cameras
have no place in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pan3d_core.geometry.spherical_harmonics import CONSTANT
from pan3d_core.runtime.files import shortened, written_whole
from pan3d_core.structures import Gaussians

PLY_TYPES = {
    "char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4", "double": "<f8",
    "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4", "float32": "<f4",
    "float64": "<f8",
}  # fmt: skip
CENTER, NORMAL, BASE = ("x", "y", "z"), ("nx", "ny", "nz"), ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE, ROTATION = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
REQUIRED = (*CENTER, *BASE, "opacity", *SCALE, *ROTATION)
MIN_OPACITY = 1e-6  # opacities of 0 and 1 would have an infinite logit
MIN_SCALE = 1e-9  # metres; a scale of 0 would have an infinite logarithm
FIRST_LINES = ["ply", "format binary_little_endian 1.0"]
END = b"end_header\n"


def harmonics_of(colors: Tensor) -> Tensor:
    """`Gaussians.colors` of either form as (N, K, 3) harmonics; RGB becomes the constant one."""
    return colors if colors.ndim == 3 else ((colors - 0.5) / CONSTANT)[:, None]


def write_gaussian_ply(path: Path | str, gaussians: Gaussians) -> None:
    """Write Gaussians as other programs read them; folders are made.

    Opacities are kept 1e-6 off 0 and 1, and scales at 1e-9 or more, so that every number is finite.

    Args:
        path: Of the file.
        gaussians: N of them, colours of either form; features are not kept.
    """
    harmonics = harmonics_of(gaussians.colors)
    rest = [f"f_rest_{index}" for index in range(3 * (harmonics.shape[1] - 1))]
    names = (*CENTER, *NORMAL, *BASE, *rest, "opacity", *SCALE, *ROTATION)
    opacities = gaussians.opacities.double().clamp(MIN_OPACITY, 1 - MIN_OPACITY)
    columns = [
        gaussians.means,
        torch.zeros_like(gaussians.means),
        harmonics[:, 0],
        harmonics[:, 1:].transpose(1, 2).flatten(1),  # by colour channel
        opacities.logit()[:, None],
        gaussians.scales.double().clamp_min(MIN_SCALE).log(),
        torch.nn.functional.normalize(gaussians.quats_wxyz.double(), dim=-1),
    ]
    table = torch.cat([column.double() for column in columns], dim=1).numpy(force=True).astype("<f4")
    header = [*FIRST_LINES, f"element vertex {len(table)}", *(f"property float {name}" for name in names)]
    with written_whole(path) as part, part.open("wb") as file:
        file.write("\n".join([*header, ""]).encode("ascii") + END)
        file.write(table.tobytes())


def read_gaussian_ply(path: Path | str) -> Gaussians:
    """Gaussians of a PLY file of this layout, colours as (N, K, 3) harmonics; properties beyond it are left aside.

    Raises `FileNotFoundError`, or `ValueError` for another kind of file, a cut-off one and values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"gaussians: expected a PLY file, got {path}, which does not exist")
    content = path.read_bytes()
    header, separator, body = content.partition(END)
    lines = [
        line for line in header.decode("ascii", errors="replace").splitlines() if not line.startswith(("comment", "obj_info"))
    ]
    if not separator or lines[:2] != FIRST_LINES:
        got = f"another kind of file, which begins {shortened(lines[:2], 80)}"
        raise ValueError(f"{path}: expected a binary little-endian PLY file, got {got}")
    count, layout = _vertex_layout(path, lines[2:])
    if len(body) != count * layout.itemsize:
        raise ValueError(f"{path}: expected {count * layout.itemsize} bytes after the header, got {len(body)}")
    table = np.frombuffer(body, layout)
    rest = [name for name in layout.names or () if name.startswith("f_rest_")]
    degree = (len(rest) / 3 + 1) ** 0.5 - 1
    if degree != int(degree) or set(rest) != {f"f_rest_{index}" for index in range(len(rest))}:
        raise ValueError(f"{path}: f_rest: expected 0, 9, 24, 45, ... numbered from 0, got {len(rest)} of them")
    values = {name: _columns(path, table, name) for name in (CENTER, BASE, SCALE, ROTATION, ("opacity",))}
    higher = _columns(path, table, tuple(f"f_rest_{index}" for index in range(len(rest))))
    lost = (values[ROTATION] == 0).all(-1, keepdim=True)
    return Gaussians(
        means=values[CENTER],
        scales=values[SCALE].exp(),
        quats_wxyz=torch.where(lost, torch.tensor([1.0, 0.0, 0.0, 0.0]), values[ROTATION]),
        opacities=values["opacity",][:, 0].sigmoid(),
        colors=torch.cat([values[BASE][:, None], higher.reshape(count, 3, len(rest) // 3).transpose(1, 2)], dim=1),
    )


def _vertex_layout(path: Path, lines: list[str]) -> tuple[int, np.dtype[np.void]]:
    """How many Gaussians there are, and the type of a row, from the lines after the format."""
    words = [line.split() for line in lines]
    element = words[0] if words else []
    if len(element) != 3 or element[:2] != ["element", "vertex"] or not element[2].isdecimal():
        raise ValueError(f"{path}: expected 'element vertex COUNT' first, got {' '.join(element)!r}")
    fields = []
    for line in words[1:]:
        if len(line) != 3 or line[0] != "property" or line[1] not in PLY_TYPES:
            raise ValueError(f"{path}: expected nothing but numbers per vertex, got {' '.join(line)!r}")
        fields.append((line[2], PLY_TYPES[line[1]]))
    names = [name for name, _ in fields]
    missing = [name for name in REQUIRED if name not in names]
    if missing or len(set(names)) != len(names):
        raise ValueError(f"{path}: expected the properties {', '.join(REQUIRED)}, each once, got {', '.join(names)}")
    return int(element[2]), np.dtype(fields)


def _columns(path: Path, table: npt.NDArray[np.void], names: tuple[str, ...]) -> Tensor:
    values = (
        np.stack([table[name].astype(np.float32) for name in names], axis=1) if names else np.zeros((len(table), 0), np.float32)
    )
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: {names[0]}: expected finite values, got NaN or infinity")
    return torch.from_numpy(values)
