# The perception node on an x86-64 computer with an NVIDIA GPU (RTX): ROS 2 Jazzy, torch with the CUDA libraries of its wheel,
# TensorRT for RTX. The driver comes from the host: the NVIDIA Container Toolkit must be there.
#   docker build -f docker/cuda.Dockerfile -t pan3d:cuda .
#   docker run --rm --gpus all --net=host --ipc=host -v pan3d-cache:/opt/pan3d-cache pan3d:cuda cameras:=front,wrist
FROM ros:jazzy-ros-base

RUN apt-get update \
  && apt-get install -y --no-install-recommends python3-venv ros-jazzy-vision-msgs ros-jazzy-diagnostic-msgs \
  && rm -rf /var/lib/apt/lists/*

RUN python3 -m venv --system-site-packages /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

WORKDIR /ws/src/pan3d
COPY requirements requirements
COPY . .
RUN pip install --no-cache-dir -c requirements/pins.txt -e ".[onnx,gpu]" && pip install --no-cache-dir tensorrt-rtx

WORKDIR /ws
RUN . /opt/ros/jazzy/setup.sh && colcon build --symlink-install

# Engines are built for the GPU at hand: `pan3d export pan3d-mini --to tensorrt` in a running container, kept in the volume.
ENV PAN3D_CACHE=/opt/pan3d-cache
ENV FASTDDS_DEFAULT_PROFILES_FILE=/ws/src/pan3d/config/fastdds_large.xml
ENTRYPOINT ["/bin/bash", "-c", ". /ws/install/setup.sh && exec ros2 launch pan3d_ros perception.launch.py \"$@\"", "--"]
