"""What networks must compute and move at least, counted from their sizes; it knows models."""

__all__: list[str] = []
