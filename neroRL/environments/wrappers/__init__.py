"""Wrappers of single environments, one for each key of the ``environment`` section."""
