"""The processes that share the port, and the association that each connection becomes."""
