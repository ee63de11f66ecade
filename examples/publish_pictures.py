"""Picture files as cameras: own pictures for the perception node. Each is a camera that is called after its file.

ros2 launch pan3d_ros perception.launch.py cameras:=camera_0,camera_1,camera_2,camera_3 &
python examples/publish_pictures.py examples/data/cell/*.jpg --cameras examples/data/cell/cameras.json
"""

import argparse
from pathlib import Path

import rclpy
import torch
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView
from pan3d_core.views.scene_folder import read_photographs
from pan3d_ros.messages.parts import header, image_message, info_message, pose_message


class PictureCameras(Node):
    """Publishes each view as a camera's, again and again."""

    def __init__(self, views: dict[str, CameraView]) -> None:
        super().__init__("picture_cameras")
        self._views = views
        kinds = {"image_raw": Image, "camera_info": CameraInfo, "pose": PoseStamped}
        self._out = {name: [self.create_publisher(kinds[topic], f"{name}/{topic}", 1) for topic in kinds] for name in views}
        self.create_timer(0.2, self.publish)

    def publish(self) -> None:
        """Publish one picture of each camera, all stamped with the time it is now."""
        stamp_ns = self.get_clock().now().nanoseconds
        for name, view in self._views.items():
            image, info, pose = self._out[name]
            pixels = (view.image * 255.0).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
            if view.cam_from_world is not None:
                own = pose_message(invert_rigid(view.cam_from_world))
                pose.publish(PoseStamped(header=header("base_link", stamp_ns), pose=own))
            at = header(f"{name}_optical_frame", stamp_ns)
            info.publish(info_message(view.intrinsics, *pixels.shape[:2], at))
            image.publish(image_message(pixels, "rgb8", at))


def main(arguments: list[str] | None = None) -> None:
    """Publish until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--cameras", type=Path, required=True, help="cameras file (docs/scenes.md)")
    options = parser.parse_args(arguments)
    files = {path.stem: path for path in options.pictures}
    if len(files) < len(options.pictures):
        parser.error(f"pictures: expected files of different names, got {len(options.pictures)} of the names {', '.join(files)}")
    views = dict(zip(files, read_photographs(options.pictures, options.cameras).views))
    rclpy.init()
    try:
        rclpy.spin(PictureCameras(views))
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
