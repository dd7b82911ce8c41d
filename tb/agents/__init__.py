"""Pin-level stream drivers and monitors."""
