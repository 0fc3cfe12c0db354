"""Which series to analyse, and why."""
