"""Context layers: whatever else is known about the ground, each declared in a TOML file."""
