"""Blinded reading: the study, each reader's order, the answers' log, and what they say. Imports no torch and no Qt."""
