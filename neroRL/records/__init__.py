"""Reads and writes what jobs and sweeps leave on disk."""
