"""Activation of capsule maps: batch normalisation, ReLU and squash."""
