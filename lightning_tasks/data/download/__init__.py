"""Fetching and unpacking archives."""
