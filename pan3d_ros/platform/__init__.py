"""What ROS 2 itself needs: domains, logs, spinning, stand-ins for missing packages and what rclpy keeps private; knows nothing
of perception."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.platform.domains import claim_domain as claim_domain
    from pan3d_ros.platform.domains import domain_of_environment as domain_of_environment
    from pan3d_ros.platform.log_bridge import LogBridge as LogBridge
    from pan3d_ros.platform.log_folder import ensure_log_folder as ensure_log_folder
    from pan3d_ros.platform.shared_memory import other_users as other_users
    from pan3d_ros.platform.shared_memory import remove_stale_segments as remove_stale_segments
    from pan3d_ros.platform.shared_memory import stale_segments as stale_segments
    from pan3d_ros.platform.spinning import attempt as attempt
    from pan3d_ros.platform.spinning import run as run

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "log_folder": ("ensure_log_folder",),
    "shared_memory": ("other_users", "remove_stale_segments", "stale_segments"),
    "log_bridge": ("LogBridge",),
    "spinning": ("attempt", "run"),
    "domains": ("claim_domain", "domain_of_environment"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
