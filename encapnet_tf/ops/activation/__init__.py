"""Operations that normalise and activate capsule feature maps: batch normalisation, ReLU and squash."""
