"""Tasks given by examples (Neuralizer, thesis paper 5)."""
