"""From scenes to a checkpoint: one loop for all families, and what it needs; nothing of the product imports it."""
