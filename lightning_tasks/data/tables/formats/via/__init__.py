"""VGG Image Annotator's JSON and csv."""
