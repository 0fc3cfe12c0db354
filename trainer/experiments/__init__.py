"""Whole runs that answer a question, or export a network."""
