"""Which labels does an image carry? Any number of them."""
