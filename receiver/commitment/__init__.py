"""Storage commitment: asked by a peer, kept, and reported on."""
