"""How the system shows that it works: signs of life, and the pages that Prometheus reads."""
