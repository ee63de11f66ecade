"""`pan3d teach` and `pan3d label`: objects that are shown, recordings that are labelled, networks that learn from them."""

__all__: list[str] = []
