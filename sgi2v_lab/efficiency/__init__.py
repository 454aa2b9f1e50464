"""Time and memory: what is kept and what is recomputed, and what this machine has."""
