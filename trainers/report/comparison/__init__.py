"""Sections of the HTML page that compares several training runs."""
