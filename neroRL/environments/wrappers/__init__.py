"""Wrappers of single environments, chosen by the keys of the ``environment`` section."""
