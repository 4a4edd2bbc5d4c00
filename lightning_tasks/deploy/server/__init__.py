"""The HTTP server of a checkpoint; needs the extra `serve`, so nothing but the verb imports it."""
