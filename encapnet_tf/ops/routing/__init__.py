"""Routing of lower capsules to higher ones: votes, dynamic routing and EM routing."""
