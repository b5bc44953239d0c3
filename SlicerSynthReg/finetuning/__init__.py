"""Fine-tuning of a segmentation network on a few annotated images."""
