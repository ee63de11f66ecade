"""What commands do with rosbags: find them, play, inspect and choose keyframes; only `files` may be imported without rosbags."""

__all__: list[str] = []
