# Environment of pan3d for bash or zsh: `source activate.sh`. The Makefile uses the same file.
#
# The one place that knows where the ROS 2 wheels keep their libraries. The wheels ship a start-up hook that
# otherwise re-executes every Python once; with LD_LIBRARY_PATH and the hook's guard set here it does nothing,
# so that debuggers, profilers and child processes see one process.

if [ -n "${BASH_SOURCE:-}" ]; then
  _pan3d_root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
else
  _pan3d_root=$(cd "$(dirname "$0")" && pwd)
fi
_pan3d_venv=${PAN3D_VENV:-$_pan3d_root/.venv}

if [ ! -x "$_pan3d_venv/bin/python" ]; then
  echo "pan3d: no virtual environment at $_pan3d_venv; run 'make setup' first" >&2
  unset _pan3d_root _pan3d_venv
  return 1
fi

# Puts $2 in front of the colon-separated variable named $1, unless it is there; drops entries of a system-wide
# ROS, whose compiled modules do not fit this environment's Python.
_pan3d_prepend() {
  eval "_pan3d_old=\${$1:-}"
  _pan3d_new=$2
  _pan3d_rest=$_pan3d_old:
  while [ -n "$_pan3d_rest" ]; do
    _pan3d_entry=${_pan3d_rest%%:*}
    _pan3d_rest=${_pan3d_rest#*:}
    case "$_pan3d_entry" in
      "" | "$2" | /opt/ros/*) ;;
      *) _pan3d_new=$_pan3d_new:$_pan3d_entry ;;
    esac
  done
  export "$1=$_pan3d_new"
}

_pan3d_site=$(echo "$_pan3d_venv"/lib/python3.*/site-packages)
_pan3d_python=$(basename "$(dirname "$_pan3d_site")")
_pan3d_interfaces=$_pan3d_root/install/pan3d_interfaces

for _pan3d_dir in "$_pan3d_site"/ros_*.libs; do
  [ -d "$_pan3d_dir" ] && _pan3d_prepend LD_LIBRARY_PATH "$_pan3d_dir"
done
_pan3d_prepend LD_LIBRARY_PATH "$_pan3d_venv/lib"
_pan3d_prepend LD_LIBRARY_PATH "$_pan3d_interfaces/lib"
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
# Threads of the network that wait should sleep, not spin: with other processes beside them (nodes, a simulator)
# spinning was measured to take the frame journey from 0.9 s to 20 s.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

_pan3d_prepend PATH "$_pan3d_venv/bin"
_pan3d_prepend PYTHONPATH "$_pan3d_interfaces/lib/$_pan3d_python/site-packages"
_pan3d_prepend PYTHONPATH "$_pan3d_root"
_pan3d_prepend AMENT_PREFIX_PATH "$_pan3d_venv"
[ -d "$_pan3d_root/install/pan3d_ros" ] && _pan3d_prepend AMENT_PREFIX_PATH "$_pan3d_root/install/pan3d_ros"
_pan3d_prepend AMENT_PREFIX_PATH "$_pan3d_interfaces"
_pan3d_prepend CMAKE_PREFIX_PATH "$_pan3d_venv"
export VIRTUAL_ENV=$_pan3d_venv
export ROS_VERSION=2 ROS_DISTRO=jazzy ROS_PYTHON_VERSION=3
export RMW_IMPLEMENTATION=${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}

# Images and clouds are larger than Fast DDS's default shared-memory segment; every process needs the profile.
_pan3d_profile=$_pan3d_root/config/fastdds_large.xml
if [ -f "$_pan3d_profile" ]; then
  export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$_pan3d_profile}
  export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$FASTDDS_DEFAULT_PROFILES_FILE}
fi

# Off-screen rendering of the simulated cell on machines without a display or GPU.
export MUJOCO_GL=${MUJOCO_GL:-osmesa}

unset _pan3d_root _pan3d_venv _pan3d_site _pan3d_python _pan3d_interfaces _pan3d_dir _pan3d_profile
unset _pan3d_old _pan3d_new _pan3d_rest _pan3d_entry
unset -f _pan3d_prepend
