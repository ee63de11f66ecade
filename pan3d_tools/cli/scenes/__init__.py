"""Commands that make, improve, change, convert and show scenes; each is thin above the library and may know every package."""

__all__: list[str] = []
