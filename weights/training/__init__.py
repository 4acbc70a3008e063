"""Code that trains the built-in networks."""
