"""Predictions in the files of annotation tools, which people load back as pre-annotations."""
