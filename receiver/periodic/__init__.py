"""What is done over and over, in its interval."""
