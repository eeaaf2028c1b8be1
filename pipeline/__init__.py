"""The stages from a region's name to its map, one file each, and what they run on."""
