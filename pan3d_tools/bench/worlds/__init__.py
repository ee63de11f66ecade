"""Engines in rendered worlds of every kind and on photographs: what is found, named and promised; they may know every package."""

__all__: list[str] = []
