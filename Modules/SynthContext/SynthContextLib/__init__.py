"""The sections of SynthContext's panel and their jobs."""
