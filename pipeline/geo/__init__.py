"""Where and when: the grid, regions, seasons, distances, vector files."""
