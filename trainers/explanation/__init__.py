"""HTML page that explains the class scores of images: evidence, reconstructions, agreement of capsules."""
