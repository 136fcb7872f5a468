"""Implementation of the `encapnet` command line, with one Python module per subcommand."""
