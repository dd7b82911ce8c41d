"""Playback of whole streams by C++ harnesses around Verilator's model."""
