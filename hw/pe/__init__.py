"""The processing element: buffers, lanes, collector, post-processing and controller."""
