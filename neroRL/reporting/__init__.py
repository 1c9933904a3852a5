"""What a person sees: TensorBoard summaries and a sweep's progress."""
