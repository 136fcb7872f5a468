"""Ablations: the rows of the paper's tables, training them, and the table of the results."""
