"""What training and instance optimisation minimise."""
