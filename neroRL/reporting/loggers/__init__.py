"""Loggers beside TensorBoard. Their packages are optional; jobs that use them import them."""
