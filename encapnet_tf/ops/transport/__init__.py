"""Optimal transport functions: cost matrices, Sinkhorn iterations and the Sinkhorn divergence."""
