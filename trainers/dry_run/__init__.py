"""Description of a training run before it is started: settings, network, memory and time, from three training steps."""
