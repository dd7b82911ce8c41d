"""The command line ``vsq``."""
