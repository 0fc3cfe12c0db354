"""One stored object: what its header says, where its slices lie, where its file goes."""
