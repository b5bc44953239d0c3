"""One room for each paper's method."""
