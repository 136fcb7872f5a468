"""The command-line subcommands `encapnet export` and `encapnet predict`."""
