"""Generators in other people's file formats, read without running anything that is in the file."""

from weights.readers.foreign import ForeignGenerator, is_foreign, read_generator

__all__ = ["ForeignGenerator", "is_foreign", "read_generator"]
