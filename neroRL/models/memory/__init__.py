"""The memory of a policy: none, a recurrent state, or a transformer over the episode."""
