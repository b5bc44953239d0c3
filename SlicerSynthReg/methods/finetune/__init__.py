"""Segmentation learned from one to a few annotated volumes, from features that are trained already."""
