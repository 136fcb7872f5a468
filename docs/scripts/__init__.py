"""Scripts that build parts of the documentation: website hooks, tables and figures."""
