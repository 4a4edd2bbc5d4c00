"""PASCAL VOC's XML."""
