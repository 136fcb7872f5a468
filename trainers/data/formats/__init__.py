"""Readers for the file formats in which public image data sets are distributed.

Each reads untrusted files: no code from a file is run, nothing is extracted to the disk, and memory is taken only for
    bytes
that a file really holds.
"""
