"""Evaluation measures, each a named record: overlap, landmarks, regularity, intensity, uncertainty, CT, readers."""
