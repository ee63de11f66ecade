#!/usr/bin/env bash
# From `git clone` to what the node finds in the first own pictures, measured as shares of ten minutes:
#
#   scripts/first_hour.sh [FOLDER]      a new folder for the clone; default: one in /tmp that is removed again
#   PICTURES="a.jpg b.jpg" CAMERAS=cameras.json PROMPT="the mug"      instead of the example's pictures
#
# `ros2 launch` starts the node where ros2 is installed, otherwise the node is started with the same parameters. Run it in a shell
# without activate.sh.
set -euo pipefail
SOURCE=$(cd "$(dirname "$0")/.." && pwd)
LIMIT_S=600

if [ -n "${VIRTUAL_ENV:-}" ]; then
  echo "first_hour: expected a shell without a virtual environment, got $VIRTUAL_ENV" >&2
  exit 2
fi
if [ -n "${PICTURES:-}" ] && [ -z "${CAMERAS:-}" ]; then
  echo "first_hour: expected CAMERAS, the cameras file of PICTURES, got none" >&2
  exit 2
fi
# The pictures and their cameras file are named from here, and read from the clone.
pictures=()
for picture in ${PICTURES:-$SOURCE/examples/data/cell/*.jpg}; do pictures+=("$(realpath -e "$picture")"); done
cameras=$(realpath -e "${CAMERAS:-$SOURCE/examples/data/cell/cameras.json}")
if [ $# -gt 0 ]; then
  mkdir -p "$1"
  FOLDER=$(realpath "$1")
else
  FOLDER=$(mktemp -d)
fi
PIDS=()
finish() {
  for pid in "${PIDS[@]}"; do kill -INT -- "-$pid" 2> /dev/null || true; done
  wait
  [ $# -gt 0 ] || rm -rf "$FOLDER"
}
trap 'finish "$@"' EXIT

begin=$(date +%s.%N)
last=$begin
took() { # step: says its share of the ten minutes, and that of all so far
  local now
  now=$(date +%s.%N)
  awk -v a="$last" -v b="$now" -v c="$begin" -v limit="$LIMIT_S" -v what="$1" \
    'BEGIN { printf "[first hour] %-28s %.3f of ten minutes, %.3f so far\n", what, (b - a) / limit, (b - c) / limit }'
  last=$now
}

git clone --quiet "$SOURCE" "$FOLDER/pan3d"
took "git clone"
cd "$FOLDER/pan3d"
make setup
took "make setup"

source activate.sh
names=$(for picture in "${pictures[@]}"; do basename "${picture%.*}"; done | paste -sd,)
set -m # programs that end together, by their group
if command -v ros2 > /dev/null; then
  ros2 launch pan3d_ros perception.launch.py "cameras:=$names" > "$FOLDER/node.log" 2>&1 &
else
  echo "[first hour] ros2 is not installed: the node without launch"
  perception_node --ros-args -p "cameras:=[$names]" -p autostart:=true -p global_services:=true > "$FOLDER/node.log" 2>&1 &
fi
PIDS+=($!)
python examples/publish_pictures.py "${pictures[@]}" --cameras "$cameras" > "$FOLDER/pictures.log" 2>&1 &
PIDS+=($!)
set +m
if ! python examples/ask_the_node.py "${PROMPT:-the bottle}"; then
  tail -n 20 "$FOLDER/node.log" "$FOLDER/pictures.log" >&2
  exit 1
fi
took "first answer about pictures"
