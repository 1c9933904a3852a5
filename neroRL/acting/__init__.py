"""What takes a step: the actor, the loop that rollouts and evaluations share, the evaluator."""
