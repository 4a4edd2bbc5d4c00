"""From nothing to the tables of fastai's chapter."""
