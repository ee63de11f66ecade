"""Engines beside the official code of their papers, each side in a process of its own; it knows models and engines."""

__all__: list[str] = []
