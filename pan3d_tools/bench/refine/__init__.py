"""Time, memory and quality of refinements: `pan3d bench refine`; it knows refining, evaluation and the simulated cell."""

__all__: list[str] = []
