"""Numbers and images in, tables and figures out."""
