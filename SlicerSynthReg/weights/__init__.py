"""The models that ship: a card (JSON) and its weights (safetensors). Reading a card needs no torch."""
