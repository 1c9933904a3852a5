"""Vector environments: the interface and its implementations."""
