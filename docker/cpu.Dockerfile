# The perception node, and the simulated cell, on an x86-64 (or arm64) computer without a GPU: ROS 2 Jazzy, torch's CPU build,
# OpenVINO. docker/compose.yaml runs both.
#   docker build -f docker/cpu.Dockerfile -t pan3d:cpu .
#   docker run --rm --net=host --ipc=host pan3d:cpu cameras:=front,wrist
FROM ros:jazzy-ros-base

RUN apt-get update \
  && apt-get install -y --no-install-recommends python3-venv libosmesa6 ros-jazzy-vision-msgs ros-jazzy-diagnostic-msgs ros-jazzy-bond \
  && rm -rf /var/lib/apt/lists/*

# The system's Python has ROS, so the environment must see it; what pip brings goes before.
RUN python3 -m venv --system-site-packages /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

WORKDIR /ws/src/pan3d
COPY requirements requirements
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu
COPY . .
RUN pip install --no-cache-dir -c requirements/pins.txt -e ".[openvino,sim]"

WORKDIR /ws
RUN . /opt/ros/jazzy/setup.sh && colcon build --symlink-install

# Once for all containers of this image: the network is written, and compared with torch.
ENV PAN3D_CACHE=/opt/pan3d-cache
RUN pan3d export pan3d-mini

ENV FASTDDS_DEFAULT_PROFILES_FILE=/ws/src/pan3d/config/fastdds_large.xml
ENTRYPOINT ["/bin/bash", "-c", ". /ws/install/setup.sh && exec ros2 launch pan3d_ros perception.launch.py \"$@\"", "--"]
