"""How much? Numbers of an image, such as an age, a weight, a count."""
