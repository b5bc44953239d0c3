"""Topological change: lesions and resections that no smooth deformation explains (thesis paper 3)."""
