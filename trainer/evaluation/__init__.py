"""What a network is worth on patients it never saw."""
