"""Benchmarks of `pan3d bench`, each a module with `run(arguments)`; they may know every package, and nothing else knows them."""

__all__: list[str] = []
