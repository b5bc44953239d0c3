"""Functions that return the Markdown of generated pages."""
