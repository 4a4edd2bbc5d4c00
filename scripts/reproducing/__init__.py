"""From nothing to the walk-through's own tables."""
