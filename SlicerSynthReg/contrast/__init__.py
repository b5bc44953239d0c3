"""Medical Flow Matching (MFM): conversion between native and contrast-enhanced CT, with comparison methods."""
