"""The daily run's tasks, one a file: each may be begun again at any time, and then does what is left."""
