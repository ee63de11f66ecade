#!/usr/bin/env bash
# Build Fast DDS with security for the ROS 2 wheels, whose own has none, beside them: nothing of the environment is changed.
#
#   git clone --depth 1 --recurse-submodules --shallow-submodules -b v2.14.5 https://github.com/eProsima/Fast-DDS
#   git clone --depth 1 -b 8.4.3 https://github.com/ros2/rmw_fastrtps
#   git clone --depth 1 -b 0.1.0 https://github.com/ros2/rosidl_dynamic_typesupport_fastrtps
#   apt-get install g++ cmake libasio-dev libssl-dev liblttng-ust-dev
#   source activate.sh && scripts/build_secured_dds.sh FOLDER_OF_THE_THREE PREFIX
#   LD_LIBRARY_PATH=PREFIX/lib:$LD_LIBRARY_PATH pytest -m slow test/ros/test_secured_dds.py
#
# JOBS=1 builds with less memory. The tags are those of the wheels in requirements/pins.txt. Classes of Fast DDS are laid out
# otherwise with security, so the three libraries that use its C++ headers are built with it.
set -euo pipefail
if [ $# -ne 2 ] || [ -z "${VIRTUAL_ENV:-}" ]; then
  echo "usage: source activate.sh && $0 FOLDER_OF_SOURCES PREFIX" >&2
  exit 2
fi
sources=$(cd "$1" && pwd)
mkdir -p "$2"
prefix=$(cd "$2" && pwd)
venv=$(cd "$VIRTUAL_ENV" && pwd -P)
# Libraries of the wheels would be put before those that the compiler brings.
unset LD_LIBRARY_PATH

# build NAME FOLDER options...
build() {
  local name=$1 folder=$2
  shift 2
  # -I comes before the include folder of the wheels, which holds the headers of their Fast DDS.
  cmake -S "$sources/$folder" -B "$prefix/build/$name" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" \
    -DCMAKE_PREFIX_PATH="$prefix;$venv" -DPython3_EXECUTABLE="$venv/bin/python" -DBUILD_TESTING=OFF -DSECURITY=ON \
    -DCMAKE_CXX_FLAGS="-I$prefix/include" -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--as-needed "$@"
  cmake --build "$prefix/build/$name" --target install -j "${JOBS:-$(nproc)}"
}

# tinyxml2 comes with the sources and stays inside: that of the wheels, of another version, is in the process too.
build fastdds Fast-DDS -DTHIRDPARTY_TinyXML2=FORCE -DTHIRDPARTY_UPDATE=OFF \
  -DCOMPILE_TOOLS=OFF -DINSTALL_TOOLS=OFF -DSQLITE3_SUPPORT=OFF
for package in rosidl_dynamic_typesupport_fastrtps rmw_fastrtps/rmw_fastrtps_shared_cpp rmw_fastrtps/rmw_fastrtps_cpp; do
  build "$(basename "$package")" "$package"
done
echo "done: LD_LIBRARY_PATH=$prefix/lib:\$LD_LIBRARY_PATH"
