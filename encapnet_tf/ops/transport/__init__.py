"""Optimal transport: ground costs, Sinkhorn iterations and the Sinkhorn divergence."""
