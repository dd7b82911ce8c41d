"""Layouts of vector MACs: cells placed and routed, checked, and measured with their wires."""
