"""How the toy is trained: data, losses, optimisers, the two stages, and the export."""
