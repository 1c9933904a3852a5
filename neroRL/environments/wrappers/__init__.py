"""Wrappers of the ``environment`` section, each changing one thing."""
