"""From an aligned crop to a latent and a generator tuned to it."""
