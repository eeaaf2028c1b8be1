"""From labels and features to registered models."""
