"""STOW-RS: the same objects over HTTP."""
