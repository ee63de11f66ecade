"""Commands beside a running node, and how their pages are served; they may know every package."""

__all__: list[str] = []
