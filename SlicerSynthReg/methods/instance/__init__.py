"""Registration by optimisation on one pair: global search, affine Gauss-Newton, diffeomorphic Gauss-Newton.

All three compare images of many channels (learned features, locally normalised intensities) by weighted squared
differences, which makes them indifferent to the contrast that the channels come from.
"""
