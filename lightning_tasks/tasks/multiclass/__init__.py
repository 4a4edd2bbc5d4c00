"""Exactly one label an image."""
