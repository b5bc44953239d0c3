"""Segmentation with its uncertainty (thesis paper 4)."""
