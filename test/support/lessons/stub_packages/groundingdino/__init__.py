"""Stands for Grounding DINO: the calls of the official package, and boxes of what is red or green."""
