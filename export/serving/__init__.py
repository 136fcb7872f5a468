"""TF Serving: its messages, clients by REST and gRPC, and the warm-up requests of a SavedModel."""
