"""A sentence in place of a picture: the toy's own text-to-image stage."""
