"""Support for TF Serving: protocol messages, REST and gRPC clients, and warm-up requests."""
