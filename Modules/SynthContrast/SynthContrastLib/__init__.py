"""What SynthContrast is made of."""
