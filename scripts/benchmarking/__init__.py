"""The parts of scripts/benchmark.py: each is measured in a process of its own."""
