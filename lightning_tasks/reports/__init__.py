"""Numbers and pictures in, tables and figures out."""
