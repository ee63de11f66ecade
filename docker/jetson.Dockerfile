# The perception node on Jetson Thor (JetPack 7, Ubuntu 24.04): CUDA and TensorRT of JetPack, ROS 2 Jazzy from its own packages.
#   docker build -f docker/jetson.Dockerfile --build-arg TORCH_INDEX=https://... -t pan3d:jetson .
#   docker run --rm --runtime nvidia --net=host --ipc=host -v pan3d-cache:/opt/pan3d-cache pan3d:jetson cameras:=front,wrist
# BASE: an image with JetPack's CUDA, cuDNN and TensorRT on Ubuntu 24.04, as NVIDIA's catalogue lists for the release on the robot.
# TORCH_INDEX: the package index with torch for this JetPack; the wheels of PyPI do not know the GPU of a Jetson.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r38.2.0
FROM ${BASE}
ARG TORCH_INDEX

RUN apt-get update \
  && apt-get install -y --no-install-recommends curl gnupg \
  && curl -sSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key -o /usr/share/keyrings/ros.gpg \
  && echo "deb [signed-by=/usr/share/keyrings/ros.gpg] http://packages.ros.org/ros2/ubuntu noble main" > /etc/apt/sources.list.d/ros2.list \
  && apt-get update \
  && apt-get install -y --no-install-recommends python3-venv python3-colcon-common-extensions build-essential cmake \
    ros-jazzy-ros-base ros-jazzy-vision-msgs ros-jazzy-diagnostic-msgs \
  && rm -rf /var/lib/apt/lists/*

# The system's Python has ROS and JetPack's TensorRT, so the environment must see it.
RUN python3 -m venv --system-site-packages /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

WORKDIR /ws/src/pan3d
COPY requirements requirements
RUN test -n "$TORCH_INDEX" && pip install --no-cache-dir torch --index-url "$TORCH_INDEX"
COPY . .
RUN pip install --no-cache-dir -e ".[onnx]"

WORKDIR /ws
RUN . /opt/ros/jazzy/setup.sh && colcon build --symlink-install

ENV PAN3D_CACHE=/opt/pan3d-cache
ENV FASTDDS_DEFAULT_PROFILES_FILE=/ws/src/pan3d/config/fastdds_large.xml
ENTRYPOINT ["/bin/bash", "-c", ". /ws/install/setup.sh && exec ros2 launch pan3d_ros perception.launch.py \"$@\"", "--"]
