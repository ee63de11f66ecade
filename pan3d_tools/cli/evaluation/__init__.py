"""`pan3d eval`, `pan3d eval-gaussians` and `pan3d scoreboard`: figures against truth; they may know every package."""

__all__: list[str] = []
