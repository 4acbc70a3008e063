"""From photo to photo."""
