"""PanopticSplatting (arXiv 2503.18073): a scene of 3D Gaussians refined from its views and their 2D labels by optimisation."""
