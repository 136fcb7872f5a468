"""Inputs of the benchmarks: convolution shapes, lists of networks, and generated image folders."""
