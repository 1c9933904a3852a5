"""The grid search: from a tuning file to jobs and their results. Knows nothing of PPO."""
