"""What is done to the images of a sample or a batch."""
