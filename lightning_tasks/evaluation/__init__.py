"""Tensors in, numbers out. Imports nothing else of ours."""
