"""The configuration of a run: settings, the schema, flags and files that override it, recipes to start from."""
