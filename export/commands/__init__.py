"""The subcommands `encapnet export` and `encapnet predict`."""
