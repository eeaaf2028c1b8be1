"""The map as it is handed on: layers, styles, words, and what may be disclosed."""
