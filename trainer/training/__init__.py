"""Make a network of a release."""
