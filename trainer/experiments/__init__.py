"""Whole runs that answer a question, or ship a network."""
