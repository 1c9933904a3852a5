"""Numbers that a report shows of a sweep: pure functions, which draw nothing and write nothing."""
