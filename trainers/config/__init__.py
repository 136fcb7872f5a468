"""The configuration of a run: schema, command-line flags made from it, recipes."""
