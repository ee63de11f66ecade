"""Requests and their answers from the newest result; knows messages, the store of results and the library's selection and
grasping, never cameras."""

from pan3d_ros.services.answers import Answers, Situation
from pan3d_ros.services.names import ServiceNames
from pan3d_ros.services.requests import RequestError
from pan3d_ros.services.servers import PerceptionServices
from pan3d_ros.services.teaching import TeachingServices
from pan3d_ros.services.worlds import WorldServices

__all__ = [
    "Answers",
    "PerceptionServices",
    "RequestError",
    "ServiceNames",
    "Situation",
    "TeachingServices",
    "WorldServices",
]
