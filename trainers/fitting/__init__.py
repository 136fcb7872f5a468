"""Training of one model: network, devices, callbacks, checkpoints, resume."""
