"""One training loop for every method, and the tasks that it runs."""
