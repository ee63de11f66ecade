"""Networks measured whole: by stages, in every runtime, in a frame's journey, in training; they may know every package."""

__all__: list[str] = []
