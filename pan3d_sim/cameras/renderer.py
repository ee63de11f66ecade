"""RGB, metric depth and object ids of a MuJoCo model seen by exact pinhole cameras."""

from __future__ import annotations

from contextlib import AbstractContextManager

import mujoco
import numpy as np

from pan3d_sim.cameras.rig import RigCamera, write_gl_camera

NEAR_M, FAR_M = 0.05, 12.0


class Renderer(AbstractContextManager["Renderer"]):
    """Renders one model into an offscreen buffer of fixed size. Close it (or use `with`): OSMesa wants its context freed."""

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int,
        height: int,
        *,
        shadow_size: int = 512,
        supersample: int = 1,
        sky: bool = False,
    ) -> None:
        model.vis.global_.offwidth, model.vis.global_.offheight = width * supersample, height * supersample
        # Multisampling would blend ids and depths at edges; `supersample` renders the colours finer instead.
        model.vis.quality.shadowsize, model.vis.quality.offsamples = shadow_size, 0
        model.vis.map.shadowclip = 1.2
        self.model, self.width, self.height, self.supersample = model, width, height, supersample
        self._gl = mujoco.GLContext(width * supersample, height * supersample)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=max(2000, 2 * model.ngeom))
        self._option = mujoco.MjvOption()
        mujoco.mjv_defaultOption(self._option)
        self._option.geomgroup[:] = [1, 1, 0, 0, 0, 0]  # visible geoms only; collision shapes stay hidden
        for flag in (mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX, mujoco.mjtRndFlag.mjRND_HAZE):
            self._scene.flags[flag] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = sky
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._fine_viewport = mujoco.MjrRect(0, 0, width * supersample, height * supersample)
        self._camera = mujoco.MjvCamera()
        mujoco.mjv_defaultCamera(self._camera)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the GL resources; the renderer must not be used afterwards."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def update(self, data: mujoco.MjData) -> None:
        """Take over the poses and colours in `data` and its model; once per scene state, before `render`."""
        self._gl.make_current()
        mujoco.mjv_updateScene(self.model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene)

    def render(self, camera: RigCamera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One picture: RGB (H, W, 3) uint8, z-depth (H, W) float32 in metres (0 = nothing before the far plane) and
        geom ids (H, W) int32 (-1 = none). Depth and ids are exact at pixel centres, also when RGB is supersampled."""
        rgb = self._draw(camera, self._fine_viewport)[0]
        if self.supersample > 1:
            factor = self.supersample
            blocks = rgb.reshape(self.height, factor, self.width, factor, 3)
            rgb = blocks.mean((1, 3), dtype=np.float32).round().astype(np.uint8)
        segment, color = mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR
        self._scene.flags[segment], self._scene.flags[color] = 1, 1
        packed, raw = self._draw(camera, self._viewport)
        self._scene.flags[segment], self._scene.flags[color] = 0, 0
        depth = NEAR_M * FAR_M / (NEAR_M + raw.astype(np.float64) * (FAR_M - NEAR_M))
        depth[raw <= 1e-7] = 0.0
        return rgb, depth.astype(np.float32), self._geom_ids(packed.astype(np.int32))

    def _draw(self, camera: RigCamera, viewport: mujoco.MjrRect) -> tuple[np.ndarray, np.ndarray]:
        """Colours (h, w, 3) uint8 and raw depth (h, w) of the scene, top row first."""
        if (camera.width, camera.height) != (self.width, self.height):
            got = f"{camera.width}x{camera.height}"
            raise ValueError(f"camera {camera.name}: expected {self.width}x{self.height} pixels, got {got}")
        self._gl.make_current()
        for gl_camera in self._scene.camera:
            write_gl_camera(gl_camera, camera, near_m=NEAR_M, far_m=FAR_M)
        mujoco.mjr_render(viewport, self._scene, self._context)
        pixels = np.empty((viewport.height, viewport.width, 3), np.uint8)
        raw = np.empty((viewport.height, viewport.width), np.float32)
        mujoco.mjr_readPixels(pixels, raw, viewport, self._context)
        return pixels[::-1], raw[::-1]

    def _geom_ids(self, packed: np.ndarray) -> np.ndarray:
        """Decode the id colours (segment id + 1, lowest byte in red) of a segmentation picture."""
        segment_id = packed[..., 0] + (packed[..., 1] << 8) + (packed[..., 2] << 16)
        geom_of_segment = np.full(self._scene.ngeom + 2, -1, np.int32)
        for index in range(self._scene.ngeom):
            geom = self._scene.geoms[index]
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and 0 <= geom.segid < self._scene.ngeom:
                geom_of_segment[geom.segid + 1] = geom.objid
        return geom_of_segment[np.clip(segment_id, 0, self._scene.ngeom + 1)]
