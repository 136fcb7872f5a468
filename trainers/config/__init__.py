"""Configuration of training runs: settings, command-line flags, JSON files and recipes (named presets)."""
