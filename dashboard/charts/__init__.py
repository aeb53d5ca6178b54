"""Figures of numbers: nothing here knows a screen, a model or a file."""
