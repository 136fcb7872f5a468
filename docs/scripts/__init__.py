"""Scripts for the documentation: website hooks, generated tables and figures."""
