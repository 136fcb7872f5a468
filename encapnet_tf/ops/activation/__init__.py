"""What follows a convolution: batch normalisation, ReLU and squash."""
