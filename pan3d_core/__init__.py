"""Multi-view panoptic 3D perception for robots: images in, metric instances and grasps out."""
