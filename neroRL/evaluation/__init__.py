"""Playing fixed seeds with a trained policy."""
