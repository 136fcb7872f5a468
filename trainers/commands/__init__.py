"""Command line `encapnet`: its argument parser and one module per subcommand."""
