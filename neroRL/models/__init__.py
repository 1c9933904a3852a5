"""The network: encoders, memory, hidden layers and heads."""
