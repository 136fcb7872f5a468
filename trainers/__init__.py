"""Implementation of the `encapnet` command: configuration, data, training, evaluation, reports and searches.

The subcommands export and predict are not part of this package.
"""
