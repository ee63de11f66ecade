"""What planners are given of a cell: labelled clouds, true ones and measured ones, and which instance shows which object."""

from pan3d_sim.clouds.labelled import Look, SceneCloud, cloud_from_views, ids_of_objects, true_cloud

__all__ = ["Look", "SceneCloud", "cloud_from_views", "ids_of_objects", "true_cloud"]
