"""Stands for SAM 3: the calls of the official package, and colours for words."""
