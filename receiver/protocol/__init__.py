"""What goes over the wire: PDUs, DIMSE messages, contexts, statuses and identities."""
