"""Acting: the actor, the step loop that rollouts and evaluations share, the evaluator, policies."""
