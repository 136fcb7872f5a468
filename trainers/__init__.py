"""The `encapnet` command except for exports: configuration, data, training, evaluation, reports and searches."""
