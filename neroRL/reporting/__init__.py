"""Reports to the user: TensorBoard, progress, ranking, summary."""
