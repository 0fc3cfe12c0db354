"""What the pixels of a series show: a head or not, how much of it, plain or not, how made."""
