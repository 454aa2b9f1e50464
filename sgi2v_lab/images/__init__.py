"""Pictures: read, resized, and the photographs that ship with the libraries."""
