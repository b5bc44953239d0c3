"""The sections of SynthRegister's panel and their jobs."""
