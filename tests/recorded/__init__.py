"""What an earlier version answered, kept to hold later ones to: see `record`."""
