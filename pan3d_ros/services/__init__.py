"""Requests and their answers from the newest result; knows messages, the store of results and the library's selection and
grasping, never cameras."""

from pan3d_ros.services.answers import Answers
from pan3d_ros.services.names import ServiceNames
from pan3d_ros.services.planning import PlanningServices
from pan3d_ros.services.private.onlookers import Onlooker, all_onlookers
from pan3d_ros.services.private.teaching import TeachingServices
from pan3d_ros.services.private.worlds import WorldServices
from pan3d_ros.services.requests import RequestError
from pan3d_ros.services.servers import PerceptionServices
from pan3d_ros.services.situation import Situation

__all__ = [
    "Answers",
    "Onlooker",
    "PerceptionServices",
    "PlanningServices",
    "RequestError",
    "ServiceNames",
    "Situation",
    "TeachingServices",
    "WorldServices",
    "all_onlookers",
]
