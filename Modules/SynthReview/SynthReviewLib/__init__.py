"""The sections of SynthReview's panel, and what is drawn in the slice views."""
