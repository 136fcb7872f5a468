"""Optimal transport functions, such as Sinkhorn iterations and the Sinkhorn divergence."""
