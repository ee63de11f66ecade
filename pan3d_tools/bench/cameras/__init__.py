"""Cameras that are off, poses that contradict pictures, and the robot's own body in them; they may know every package."""

__all__: list[str] = []
