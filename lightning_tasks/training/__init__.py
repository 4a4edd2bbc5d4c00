"""Schedules and learning-rate search: pure, without callbacks."""
