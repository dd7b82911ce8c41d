"""Arithmetic: bit heaps, compressor trees, partial products and the styles that choose among them."""
