"""Augmentation of training images as pure functions of images and random numbers."""
