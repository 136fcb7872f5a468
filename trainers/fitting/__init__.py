"""Training of one model: network, devices, callbacks, checkpoints and resumption."""
