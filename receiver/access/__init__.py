"""Who is let in, and how much of the door one peer may take."""
