"""Scripts of the documentation: the hooks of the website, and the tables and figures computed from the code."""
