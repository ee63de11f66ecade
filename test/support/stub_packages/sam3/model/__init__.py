"""Of SAM 3."""
