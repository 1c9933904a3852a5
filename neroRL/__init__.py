"""neroRL: grid search for PPO on Hydra."""

__version__ = "0.1.0"
