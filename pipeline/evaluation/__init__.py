"""A map against what is known to be true."""
