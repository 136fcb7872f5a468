"""Optimal transport: costs, Sinkhorn iterations, the Sinkhorn divergence."""
