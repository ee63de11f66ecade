# The perception node on Ubuntu 22.04 with ROS 2 Humble (Python 3.10), without a GPU.
#   docker build -f docker/humble.Dockerfile -t pan3d:humble .
#   docker run --rm --net=host --ipc=host pan3d:humble cameras:=front,wrist
FROM ros:humble-ros-base

RUN apt-get update \
  && apt-get install -y --no-install-recommends python3-venv ros-humble-vision-msgs ros-humble-diagnostic-msgs ros-humble-bond \
  && rm -rf /var/lib/apt/lists/*

# The system's Python has ROS, so the environment must see it; what pip brings goes before. The pip of 22.04 is from 2022.
RUN python3 -m venv --system-site-packages /opt/venv && /opt/venv/bin/pip install --no-cache-dir "pip>=24"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

WORKDIR /ws/src/pan3d
COPY requirements requirements
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu
COPY . .
RUN pip install --no-cache-dir -c requirements/pins.txt -e ".[openvino]"

WORKDIR /ws
RUN . /opt/ros/humble/setup.sh && colcon build --symlink-install

# Once for all containers of this image: the network is written, and compared with torch.
ENV PAN3D_CACHE=/opt/pan3d-cache
RUN pan3d export pan3d-mini

ENV FASTDDS_DEFAULT_PROFILES_FILE=/ws/src/pan3d/config/fastdds_large.xml
ENV FASTRTPS_DEFAULT_PROFILES_FILE=/ws/src/pan3d/config/fastdds_large.xml
ENTRYPOINT ["/bin/bash", "-c", ". /ws/install/setup.sh && exec ros2 launch pan3d_ros perception.launch.py \"$@\"", "--"]
