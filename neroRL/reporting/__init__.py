"""Reports to the user: TensorBoard, progress, summary, pages."""
