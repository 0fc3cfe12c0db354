"""Read a CT-ICH release and keep it apart by patient."""
