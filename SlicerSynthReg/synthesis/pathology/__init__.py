"""Synthetic anomalies: shapes by advection and diffusion within the brain, and their appearance (UNA, section 3)."""
