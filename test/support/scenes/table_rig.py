"""A textured table with a textured platform on it, seen by up to four cameras at exact poses, drawn without a renderer."""

from dataclasses import replace

import numpy as np
import torch

from pan3d_core.assembly.pose_checks.pose_hypotheses import OPTICAL_FROM_BODY, OPTICAL_FROM_OPENGL
from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.structures import CameraView

WIDTH, HEIGHT, TABLE_M = 320, 240, 0.6
INTRINSICS = torch.tensor([[330.0, 0.0, 159.5], [0.0, 330.0, 119.5], [0.0, 0.0, 1.0]])
EYES = ((-0.6, -0.25, 0.55), (-0.65, 0.05, 0.6), (-0.5, 0.35, 0.5), (-0.62, -0.08, 0.45))
BOX_HEIGHT_M = 0.08


def texture(seed=0, cells=60):
    """(3, n, n) random squares of two sizes, in colour."""
    rng = np.random.default_rng(seed)
    fine, coarse = (rng.uniform(0.1, 0.9, (3, n, n)) for n in (cells, cells // 4))
    picture = 0.5 * np.kron(fine, np.ones((8, 8))) + 0.5 * np.kron(coarse, np.ones((32, 32)))
    return torch.from_numpy(picture).float()


def seen_plane(picture, rays, eye, height):
    """Colours (3, N) of the plane at a height and where it is hit within the table (N,), with the hit (N, 2)."""
    reach = (height - eye[2]) / rays[:, 2]
    hit = eye[None, :2] + reach[:, None] * rays[:, :2]
    where = hit / TABLE_M * picture.shape[-1] / 2 + picture.shape[-1] / 2
    inside = ((where >= 0) & (where < picture.shape[-1] - 1)).all(1) & (reach > 0)
    column, row = where.clamp(0, picture.shape[-1] - 1).long().unbind(1)
    return picture[:, row, column], inside, hit


def rig(eyes=EYES, table=None, top=None, shift_m=0.0):
    """Views of a textured table with a textured platform on it, at exact poses; the platform stands aside by `shift_m`."""
    table, top = texture(0) if table is None else table, texture(1) if top is None else top
    views = []
    for index, eye in enumerate(eyes):
        pose = look_at(torch.tensor(eye), torch.tensor([0.02 * index, 0.0, 0.0]))
        rows, columns = torch.meshgrid(torch.arange(HEIGHT).float(), torch.arange(WIDTH).float(), indexing="ij")
        pixels = torch.stack([columns.flatten(), rows.flatten(), torch.ones(WIDTH * HEIGHT)])
        rays = (pose[:3, :3].T @ (torch.linalg.inv(INTRINSICS) @ pixels)).T
        colors, inside, _ = seen_plane(table, rays, torch.tensor(eye), 0.0)
        image = torch.where(inside, colors, 0.5)
        colors, inside, hit = seen_plane(top, rays, torch.tensor(eye) - torch.tensor([0.0, shift_m, 0.0]), BOX_HEIGHT_M)
        image = torch.where(inside & (hit.abs() < 0.12).all(1), colors, image)
        views.append(
            CameraView(image.reshape(3, HEIGHT, WIDTH), INTRINSICS, pose, camera=f"camera_{index}", frame_id=f"camera_{index}")
        )
    return views


def moved(views, change, which=None):
    """The views with `change` applied to the poses of all or of one."""
    return [
        replace(view, cam_from_world=torch.as_tensor(change(view.cam_from_world)).float()) if which in (None, index) else view
        for index, view in enumerate(views)
    ]


def turned(degrees):
    angle = np.radians(degrees)
    turn = torch.eye(4)
    turn[0, 0] = turn[2, 2] = float(np.cos(angle))
    turn[0, 2], turn[2, 0] = float(np.sin(angle)), float(-np.sin(angle))
    return turn


MADE = {
    "OpenGL axes": lambda pose: torch.from_numpy(OPTICAL_FROM_OPENGL).float() @ pose,
    "the inverse": invert_rigid,
    "body or *_link frame": lambda pose: torch.from_numpy(OPTICAL_FROM_BODY.T.copy()).float() @ pose,
    "world_from_cam with OpenGL axes": lambda pose: invert_rigid(torch.from_numpy(OPTICAL_FROM_OPENGL).float() @ pose),
}
