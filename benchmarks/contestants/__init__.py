"""What is timed: factories that a worker process calls by name, one file a subject and framework."""
