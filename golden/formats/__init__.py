"""Number formats of elements and scales."""
