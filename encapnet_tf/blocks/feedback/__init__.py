"""Reconstruction networks and feature extractors of Sinkhorn-divergence regularisers."""
