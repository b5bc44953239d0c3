"""The parts of SynthContext's panel and what they do, each by itself."""
