"""Statistics of reader studies: proportions, signal detection, agreement, and sample size. Imports no torch."""
