"""YOLO's text files: boxes and poses."""
