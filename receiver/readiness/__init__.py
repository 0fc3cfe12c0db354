"""When a series is whole, and what counts as evidence."""
