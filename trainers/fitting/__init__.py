"""One training: network, strategy, callbacks, checkpoints, resume."""
