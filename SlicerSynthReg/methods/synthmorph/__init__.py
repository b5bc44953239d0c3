"""SynthMorph (Hoffmann et al. 2022): registration learned from synthetic images, indifferent to contrast."""
