"""Where no smooth warp can be right: variational registration with a learned prior (thesis paper 3)."""
