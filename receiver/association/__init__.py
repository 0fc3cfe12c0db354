"""One association from its request to its end, and the C-STOREs that come over it."""
