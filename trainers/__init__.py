"""Implementation of the `encapnet` command, which trains and evaluates capsule networks.

The subcommands export and predict are not part of this package.
"""
