"""The parts of the module SynthHealthy."""
