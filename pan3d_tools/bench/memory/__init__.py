"""`pan3d bench memory`: a stream of a busy table, and what a memory makes of it; may know every package."""

__all__: list[str] = []
