"""What ROS 2 itself needs: domains, logs, spinning, stand-ins for missing packages and what rclpy keeps private; knows nothing
of perception."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.platform.domains import claim_domain, domain_of_environment
    from pan3d_ros.platform.log_bridge import LogBridge
    from pan3d_ros.platform.spinning import attempt, run

__all__ = [
    "LogBridge", "attempt", "claim_domain", "domain_of_environment", "run",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "LogBridge": "log_bridge", "attempt": "spinning", "claim_domain": "domains", "domain_of_environment": "domains",
    "run": "spinning",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
