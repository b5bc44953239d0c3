"""Segmentation with uncertainty: U-Net, ensemble, dropout, probabilistic U-Net (thesis paper 4)."""
