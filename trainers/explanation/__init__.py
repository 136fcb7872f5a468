"""Explanation of a network's class scores by heat maps and reconstructions, as an HTML page."""
