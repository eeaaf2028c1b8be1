"""Models over tables of features: ridge and forest, calibration, validation, and the registry.

Tables only, never pixels, and no files but a model's own.
"""
