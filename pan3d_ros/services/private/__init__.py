"""Services that a node offers below its own name alone, and what they keep of results; knows their store, never cameras."""

from pan3d_ros.services.private.onlookers import Onlooker, all_onlookers
from pan3d_ros.services.private.own import OwnServices
from pan3d_ros.services.private.teaching import TeachingServices
from pan3d_ros.services.private.warranty import WarrantyServices
from pan3d_ros.services.private.worlds import WorldServices

__all__ = ["Onlooker", "OwnServices", "TeachingServices", "WarrantyServices", "WorldServices", "all_onlookers"]
