"""Change between seasons: differences of scores, words for them, places, and a series."""
