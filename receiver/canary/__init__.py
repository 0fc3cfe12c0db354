"""A synthetic head of ours that goes the whole way, so that we know that the way is open."""
