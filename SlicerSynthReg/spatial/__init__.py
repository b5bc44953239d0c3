"""Lowest layer: grids in RAS mm, transforms, sampling, filters, derivatives, intensity mappings and ODE integrators."""
