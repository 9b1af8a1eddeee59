"""memoryd: the memory of a generative studio."""

__version__ = "0.1.0"
