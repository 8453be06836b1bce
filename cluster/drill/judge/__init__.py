"""What a run proves: whether its history keeps the promises, and what its faults cost."""
