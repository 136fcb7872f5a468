"""HTML page that explains the class scores of images by heat maps, reconstructions and capsule agreement."""
