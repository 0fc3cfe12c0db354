"""From the inbox to rows and the store."""
