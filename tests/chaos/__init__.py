"""Everything that can befall a site at once, and what became of every study."""
