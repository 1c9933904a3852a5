"""Reads and writes the records of jobs and sweeps."""
