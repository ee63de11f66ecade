"""Benchmarks of one part each: decoding, clustering, rendering, reading out, measuring; they may know every package."""

__all__: list[str] = []
