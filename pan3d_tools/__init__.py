"""What people start: the command line, the demo, benchmarks, reports and the viewer; it may know every package."""

__all__: list[str] = []
