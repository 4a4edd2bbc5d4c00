"""A head fitted to what a frozen backbone makes of the images, which is computed once and kept."""
