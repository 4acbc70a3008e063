"""Networks and where their parameters come from."""
