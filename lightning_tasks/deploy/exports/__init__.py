"""A predictor's network in other programs' formats."""
