"""What the documentation is made with: the site's hook, tables and figures computed from the code."""
