"""Configuration of training runs by named presets (recipes), JSON files and command-line flags."""
