"""Commands that ask whether something is right: installation, bags, poses, answers, nodes; they may know every package."""

__all__: list[str] = []
