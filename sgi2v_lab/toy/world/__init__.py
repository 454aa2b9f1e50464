"""The toy's world: scenes whose motion is known, drawn at random from a seed."""
