"""What people read: the prioritised list and the explanation of each outcome."""
