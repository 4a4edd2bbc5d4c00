"""Anybody's table: csv and its like."""
