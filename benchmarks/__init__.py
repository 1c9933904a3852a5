"""Benchmarks against the peers; see ``benchmarks/README.md``."""
