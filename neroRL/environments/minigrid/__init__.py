"""MiniGrid: its environment types, their views, and stepping them from a lookup table."""
