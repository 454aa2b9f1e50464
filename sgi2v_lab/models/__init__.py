"""Models: loading checkpoints in diffusers' format, their presets, and what is known of them."""
