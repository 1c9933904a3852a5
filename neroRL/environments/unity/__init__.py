"""Unity ML-Agents scenes and the Obstacle Tower."""
