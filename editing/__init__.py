"""Edits of an inversion: drags, presets, masks."""
