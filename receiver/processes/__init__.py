"""The processes behind the ports, started again when one dies."""
