"""Clients of a model server, and models on this machine that answer alike."""
