"""From rows to batches: data sets and data loaders."""
