"""Files of the built-in networks."""
