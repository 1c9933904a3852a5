"""Watching a policy: episodes as windows, terminal pictures, videos and pages."""
