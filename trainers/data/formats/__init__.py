"""Readers for the file formats in which public image data sets are distributed.

Each reads untrusted files: no code from a file is run, nothing is extracted to the disk, and a damaged file raises a
`UserError` that names it.
"""
