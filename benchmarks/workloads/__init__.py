"""Workloads of the benchmarks: shapes of convolutions, groups of networks, and drawn images."""
