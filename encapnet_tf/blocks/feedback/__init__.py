"""Reconstruction networks and feature extractors that Sinkhorn-divergence regularisers use."""
