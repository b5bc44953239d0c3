"""Scores of a registration, each a named record: overlap, surfaces, landmarks, regularity and intensities."""
