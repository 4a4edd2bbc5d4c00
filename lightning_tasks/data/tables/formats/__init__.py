"""From the files of other annotation tools to `Annotations`, one module a format; readers.py lists them all."""
