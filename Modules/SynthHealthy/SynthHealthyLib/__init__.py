"""The sections of SynthHealthy's panel and their jobs."""
