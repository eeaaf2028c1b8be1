"""Context layers: whatever else is known about the ground, each declared in a TOML file.

``kinds.py`` has the kinds of geometry, ``joins.py`` the ways to join, and
``pipeline/sites/text_values.py`` the types of columns: in each a new one is an entry of its table.
"""
