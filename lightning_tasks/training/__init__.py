"""Schedules and the learning-rate search, without callbacks."""
