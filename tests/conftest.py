"""For all tests."""

from hypothesis import settings

settings.register_profile("lightning_tasks", deadline=None)  # a busy machine is no fault
settings.load_profile("lightning_tasks")
