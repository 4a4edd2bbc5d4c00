"""Which of the labels does the image have? Exactly one of them."""
