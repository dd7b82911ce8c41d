"""Files: atomic writes, charts and the integer layers of a model."""
