"""Package of pan3d: one ament_python package `pan3d_ros` that carries the three Python packages."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def pins(path: str) -> list[str]:
    """Requirement lines of a requirements file."""
    lines = (HERE / path).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


SIM = ['mujoco==4.0.0; python_version >= "3.11"', 'mujoco<4; python_version < "3.11"', "PyOpenGL"]
TEXT = ["tokenizers"]
GAUSSIANS = ["gsplat==1.5.3"]
BUILD_MESSAGES = ["colcon-common-extensions", "cmake", "catkin_pkg", "empy<4", "lark", "setuptools<80"]

setup(
    name="pan3d_ros",
    version="0.1.0",
    description="3D panoptic perception for grasping, for ROS 2",
    license="Apache-2.0",
    maintainer="pan3d maintainers",
    maintainer_email="maintainers@example.com",
    packages=find_packages(include=["pan3d_core*", "pan3d_eval*", "pan3d_sim*", "pan3d_ros*", "pan3d_tools*", "training*"]),
    package_data={"": ["*.json", "*.md", "*.txt", "*.yaml"], "pan3d_core": ["weights/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/pan3d_ros"]),
        ("share/pan3d_ros", ["package.xml"]),
        ("share/pan3d_ros/launch", sorted(glob("launch/*.py"))),
        ("share/pan3d_ros/config", sorted(glob("config/*.yaml") + glob("config/*.xml"))),
        ("share/pan3d_ros/config/specializations", sorted(glob("config/specializations/*.yaml"))),
        ("share/pan3d_ros/config/specializations", sorted(glob("config/specializations/*.yaml"))),
        ("share/pan3d_ros/rviz", sorted(glob("rviz/*.rviz"))),
    ],
    python_requires=">=3.10,<3.14",
    install_requires=[
        "numpy>=2",
        "opencv-python-headless",
        "pillow",
        "PyYAML",
        "safetensors",
        "scikit-learn",
        "scipy",
        # The CPU build serves as well. torchvision must not come in: it replaces torch's build.
        "torch==2.13.0",
    ],
    extras_require={
        "ros": pins("requirements/ros_jazzy.txt") + BUILD_MESSAGES,
        "sim": SIM,
        "text": TEXT,
        "clip": TEXT + ["transformers>=4.50"],
        "train": SIM + TEXT + ["fsspec[http]", "tensorboard"],
        "bags": ["rosbags"],
        "view": ["open3d"],
        "web": ["viser>=1.1,<2"],
        # Brings a program that writes .mp4; every other picture goes without it.
        "video": ["imageio-ffmpeg"],
        "ray": ["ray"],
        # Compiles its kernels for the GPU at first use; without a GPU nothing calls it.
        "gs": GAUSSIANS,
        # The CUDA build of torch is the default one on Linux; triton is what torch.compile needs on the GPU.
        "gpu": ["triton"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1"],
        # gsplat's density control is tested on the CPU as well, where its kernels are not.
        "dev": ["pytest", "pytest-timeout", "pytest-xdist", "plyfile", "ruff", *GAUSSIANS],
    },
    entry_points={
        "console_scripts": [
            "pan3d = pan3d_tools.cli:main",
            "perception_node = pan3d_ros.perception_node:main",
            "sim_node = pan3d_ros.sim_node:main",
        ]
    },
    zip_safe=False,
)
