"""The held-out scenes and photographs of the toy's benchmark."""
