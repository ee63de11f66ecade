"""Stands for SAM 2: the calls of the official package, and red and green things for an answer."""
