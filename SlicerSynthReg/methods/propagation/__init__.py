"""Answers of aligned examples, carried over by the likeness of patches (Coupe et al. 2011)."""
