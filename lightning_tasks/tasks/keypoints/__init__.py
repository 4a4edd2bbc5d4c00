"""Where are the points of an image?"""
