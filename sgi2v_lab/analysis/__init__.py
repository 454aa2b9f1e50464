"""What the network knows: features and attention of its layers, compared with the truth about a video."""
