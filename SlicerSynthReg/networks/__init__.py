"""The U-Net family and the networks built of its blocks."""
