"""Dynamic and EM routing of capsules."""
