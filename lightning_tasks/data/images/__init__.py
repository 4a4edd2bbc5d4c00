"""From a file to an array: decoding, caches, stores."""
