"""The toy's networks: SVD's own classes, small, and the latent code."""
