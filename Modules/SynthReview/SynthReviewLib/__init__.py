"""The parts of SynthReview: what is drawn in each slice view, what the probe says, what readers are shown and asked."""
