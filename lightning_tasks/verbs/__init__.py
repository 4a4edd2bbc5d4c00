"""What the command line does besides training: one module a verb."""
