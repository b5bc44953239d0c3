"""The sections of SynthContrast's panel and their jobs."""
