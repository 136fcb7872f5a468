"""Training of a single model, including device set-up, callbacks, checkpoints and resuming."""
