"""Models by name. Each is fitted here, and served from a file that holds numbers and no code."""
