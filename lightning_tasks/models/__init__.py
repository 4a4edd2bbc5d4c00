"""What the networks of every task are made of."""
