"""An arm that picks, what its picks teach, and the shapes that its planner is told; they may know every package."""

__all__: list[str] = []
