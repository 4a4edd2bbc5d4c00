"""PAM, the netpbm format that Pillow does not know, and of whose values and colours OpenCV mistakes some."""

import re

import numpy as np

from lightning_tasks.data.images.depth import FULL, Values

START = b"P7\n"
_HEADER = re.compile(rb"P7\n(.*?\n)?ENDHDR\n", re.DOTALL)
_LINE = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)\s*$", re.MULTILINE)
_LONGEST = 10_000  # of headers, with their comments


def read_pam(content: bytes) -> Values | None:
    """Return a PAM's values, without transparency; None: it is none, or is cut short.

    Source: https://netpbm.sourceforge.net/doc/pam.html.
    """
    header = _header(content)
    if header is None:
        return None
    height, width, channels, white = (header[name] for name in ("HEIGHT", "WIDTH", "DEPTH", "MAXVAL"))
    kind = np.dtype(">u2" if white > 255 else "u1")
    n = height * width * channels
    if not (n and channels <= 4 and 0 < white <= FULL and len(content) >= header["ENDHDR"] + n * kind.itemsize):
        return None
    array = np.frombuffer(content, kind, n, header["ENDHDR"]).reshape(height, width, channels)
    colours = array[:, :, :3] if channels >= 3 else array[:, :, 0]
    # All of 8 or 16 bits says nothing: so do programs that put 12 bits into 16.
    return Values(colours.astype(kind.newbyteorder("=")), None if white in (255, FULL) else white)


def _header(content: bytes) -> dict[str, int] | None:
    found = _HEADER.match(content[:_LONGEST])
    if found is None:
        return None
    lines = {name.decode(): int(value) for name, value in _LINE.findall(found[0])}
    return {**lines, "ENDHDR": found.end()} if len(lines) == 4 else None
