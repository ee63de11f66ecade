"""What stands in the 3D part of the page: splats, the cameras of the views, a box around the selected object."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pan3d_core.gaussians.places import extent_of, scene_up
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.pictures.overlays import box_lines
from pan3d_core.pictures.palette import Color
from pan3d_core.structures import Gaussians

if TYPE_CHECKING:
    import viser

FRUSTUM_SHARE = 0.15  # size of a drawn camera over the radius of what the scene is about
LINE_PX = 2.0
SELECTION_COLOR: Color = (30, 30, 30)
SELECTION_MARGIN = 2.0  # standard deviations of a usual Gaussian that the box stays off an object's centres
CAMERA_COLOR: Color = (70, 90, 120)
DEFAULT_FOV_RAD = math.radians(50.0)


class SceneDrawing:
    """The scene's nodes on a server.

    Args:
        server: whose page it is.
        scene: what is drawn.
        colors: (N, 3) RGB in 0..1 to begin with.
    """

    def __init__(self, server: viser.ViserServer, scene: GaussianScene, colors: Tensor) -> None:
        self._server, self._gaussians = server, scene.gaussians
        self._box: viser.LineSegmentsHandle | None = None
        self._unit = splat_unit(scene.gaussians)
        self._centers = (scene.gaussians.means / self._unit).numpy(force=True)
        self._covariances = covariances(scene.gaussians, self._unit).numpy(force=True)
        self._splats = None
        if len(scene.gaussians):
            self._splats = server.scene.add_gaussian_splats(
                "/gaussians", self._centers, self._covariances, colors.numpy(force=True), self._opacities(None), scale=self._unit
            )
        self._extent = extent_of(scene)
        self._frustum_size = FRUSTUM_SHARE * self._extent.radius
        self._cameras = self._add_cameras(scene)
        self._place_eye(scene)

    def update(self, colors: Tensor, visible: Tensor) -> None:
        """Other colours (N, 3), and (N,) bool which Gaussians are to be seen."""
        if self._splats is not None:
            self._splats.set_gaussians(self._centers, self._covariances, colors.numpy(force=True), self._opacities(visible))

    def frame(self, box: OrientedBox | None) -> None:
        """Draw this box, a little larger so that splats do not cover it, and no other."""
        if self._box is not None:
            self._box.remove()
            self._box = None
        if box is not None:
            around = replace(box, size_m=box.size_m + 2 * SELECTION_MARGIN * self._unit)
            edges = np.stack([line for line, _ in box_lines(around, SELECTION_COLOR)])
            self._box = self._server.scene.add_line_segments(
                "/selection", edges, SELECTION_COLOR, thickness=LINE_PX, thickness_units="screen"
            )

    def show_cameras(self, visible: bool) -> None:
        """Draw the views' cameras or leave them out."""
        for camera in self._cameras:
            camera.visible = visible

    def _opacities(self, visible: Tensor | None) -> np.ndarray:
        opacities = self._gaussians.opacities if visible is None else self._gaussians.opacities * visible
        return opacities[:, None].numpy(force=True)

    def _add_cameras(self, scene: GaussianScene) -> list[viser.CameraFrustumHandle]:
        height, width = scene.image_hw
        frustums = []
        for index, world_from_cam in enumerate(invert_rigid(scene.cam_from_world)):
            frustum = self._server.scene.add_camera_frustum(
                f"/cameras/{index}",
                fov=vertical_fov(scene.intrinsics[index], height),
                aspect=width / height,
                scale=self._frustum_size,
                thickness=LINE_PX,
                thickness_units="screen",
                color=CAMERA_COLOR,
                wxyz=quat_xyzw_from_matrix(world_from_cam[:3, :3]).roll(1).numpy(force=True),
                position=world_from_cam[:3, 3].numpy(force=True),
            )
            frustums.append(frustum)
        return frustums

    def _place_eye(self, scene: GaussianScene) -> None:
        """New visitors stand at the first view, just before its drawn camera, and turn around what the scene is about."""
        center, radius, up = self._extent.center, self._extent.radius, scene_up(scene)
        side = torch.linalg.cross(up, torch.eye(3).to(up)[up.abs().argmin()])
        eye, fov = center + 2 * radius * (side + up), DEFAULT_FOV_RAD
        if len(scene.cam_from_world):
            first = invert_rigid(scene.cam_from_world)[0].to(up)
            eye, forward = first[:3, 3] + 1.1 * self._frustum_size * first[:3, 2], first[:3, 2]
            # A target on the optical axis keeps the direction of the view.
            center = eye + forward * ((center - eye) @ forward).clamp_min(0.1 * radius)
            fov = vertical_fov(scene.intrinsics[0], scene.image_hw[0])
        self._server.scene.set_up_direction(up.numpy(force=True))
        camera = self._server.initial_camera
        camera.position, camera.look_at, camera.up = (vector.numpy(force=True) for vector in (eye, center, up))
        camera.fov, camera.near, camera.far = fov, 1e-3 * radius, 1e3 * radius


def vertical_fov(intrinsics: Tensor, height: int) -> float:
    """Radians that an image of `height` pixels with (3, 3) intrinsics spans, its principal point taken as the middle."""
    return 2 * math.atan(height / (2 * float(intrinsics[1, 1])))


def splat_unit(gaussians: Gaussians) -> float:
    """Length in which splats are sent: the browser gets variances as 16 bit floats, which hold 0.01 to 250 times this."""
    return max(float(gaussians.scales.median()), 1e-9) if len(gaussians) else 1.0


def covariances(gaussians: Gaussians, unit: float = 1.0) -> Tensor:
    """(N, 3, 3) in the world's axes, in squares of `unit`."""
    turned = matrix_from_quat_xyzw(gaussians.quats_wxyz.roll(-1, dims=-1)) * (gaussians.scales / unit)[:, None, :]
    return turned @ turned.transpose(-1, -2)
