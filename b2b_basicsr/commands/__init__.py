"""The commands of ``b2b``."""
