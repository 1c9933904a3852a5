"""CartPole, one by one and as arrays."""
