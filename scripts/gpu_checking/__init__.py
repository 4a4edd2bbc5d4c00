"""The steps of scripts/gpu_check.py, a module each."""
