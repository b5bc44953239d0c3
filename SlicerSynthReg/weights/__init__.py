"""Shipped models: card (JSON) and weights (safetensors) of each, and their selection and loading."""
