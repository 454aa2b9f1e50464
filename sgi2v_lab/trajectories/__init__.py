"""What should move: boxes over time, camera moves, their geometry and their files."""
