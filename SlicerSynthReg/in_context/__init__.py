"""In-context prediction from a support set: Neuralizer and patch propagation (thesis paper 5)."""
