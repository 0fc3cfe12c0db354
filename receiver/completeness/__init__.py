"""Whether all of a series is here: what the slices, the sender and the archive say."""
