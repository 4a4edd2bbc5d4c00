"""What the command line does besides training: one module a verb.

A verb that has a config is its module's `run`, a method of the Trainer, on whose device it works. `model` takes the
checkpoint's weights, or is None where none is needed; `datamodule` has the images.
"""
