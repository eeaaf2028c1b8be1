"""The page of a map, as a browser shows it."""
