"""Scenes as others publish them: their source, what they say of themselves, their pixels."""
