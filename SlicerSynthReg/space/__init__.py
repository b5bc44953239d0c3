"""Ground floor: grids in RAS millimetres, transforms between them, sampling, differentials and integrators."""
