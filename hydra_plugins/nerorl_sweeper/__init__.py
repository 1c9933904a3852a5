"""The Hydra sweeper ``nerorl``."""
