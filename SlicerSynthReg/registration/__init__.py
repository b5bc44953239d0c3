"""Pairwise registration: affine initialisation, Gauss-Newton affine, deformable stage; brain and generic pipelines.

All stages compare feature images (learned features, MIND, local contrast) by weighted squared differences or a chosen
similarity, so that they do not depend on the contrast.
"""
