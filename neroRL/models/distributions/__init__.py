"""Distributions over actions, whose parameters are the policy's part of the network's outputs.

Only the distribution knows its parameters: the network gets its last layer from it, the actor its
actions, and the loss its log-probabilities, entropy and gradient.
"""
