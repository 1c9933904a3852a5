"""Several environments that step together: the interface and its implementations."""
