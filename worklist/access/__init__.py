"""Who may look at the page and its API: users, sessions, roles, and the audit trail of it."""
