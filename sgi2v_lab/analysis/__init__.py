"""What the network knows: features and attention of its layers, held to the truth about a video (see README.md)."""
