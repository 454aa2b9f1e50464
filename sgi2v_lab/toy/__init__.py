"""The toy SVD: its world (`scenes`), its parts (`architecture`), its training, and the trained checkpoint."""
