"""`pan3d bench grasp`: grasps of everything on seeded tables, tried in physics, from true clouds to colour pictures alone."""
