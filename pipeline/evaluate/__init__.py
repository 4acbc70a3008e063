"""Measurements of the whole program against published protocols: `photodrag evaluate`."""
