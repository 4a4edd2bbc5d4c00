"""Whether two texts say the same: words to the letter, numbers nearly."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

# What has other names since, as the CHANGELOG says: of which answers (a pattern of their files) → {word then: now}.
# Whole words are exchanged in what was recorded, before it is compared. For example:
#   "*": {"picture": "image", "pictures": "images"}, "predict*.csv": {"labels": "predicted"}
RENAMED: dict[str, dict[str, str]] = {
    "*": {
        "A picture": "An image",
        "a picture": "an image",
        "Pictures": "Images",
        "picture": "image",
        "pictures": "images",
    },
    # Of the settings; the run's own config stays as it was written.
    "safetensors.json": {'"flip"': '"flip_p"', '"max_bad_share"': '"max_bad_fraction"'},
    "predict*": {"labels": "predicted"},
    "thresholds.txt": {
        "fname,labels": "fname,predicted",
        "one for each, where they were chosen": "one for each, in-sample (optimistic)",
    },
    "report.txt": {
        # Of exactly one label an image: the class, and settings that it has not.
        "lightning_tasks.MultiLabelClassifier\nvocab\n['bar', 'disc', 'none of them']": (
            "lightning_tasks.MultiClassClassifier\nvocab\n['bar', 'disc', 'none of them']"
        ),
        "linear\nthreshold\n0.5\ntemperature": "linear\ntemperature",
        "asymmetric_gamma\n[4.0, 1.0]\nasymmetric_clip\n0.05\nData\nData\nname\nvalue\nclass\n"
        "lightning_tasks.MultiLabelDataModule\nroot\ndata\ncsv\none_label.csv": (
            "Data\nData\nname\nvalue\nclass\nlightning_tasks.MultiClassDataModule\nroot\ndata\ncsv\none_label.csv"
        ),
        "found rightly": "TP: found rightly",
        "missed": "FN: missed",
        "FN: missed:": "FN:",  # of a label; the one before is the legend's
        "found, but not there": "FP: found, but not there",
        "right:": "TP:",
        "extra:": "FP:",
        "flip\n–": "flip_p\n–",  # of the settings; the run's config.yaml is shown as it was written
        "max_bad_share\n0.01": "max_bad_fraction\n0.01",
        "The threshold’s slider and the images’ filter": "The page’s controls",
    },
    "http.json": {
        '"labels": [\n    {\n     "chosen"': '"predicted": [\n    {\n     "chosen"',  # not those of /model
        "AVIF, GIF or BMP": "AVIF, HEIC, GIF or BMP",
    },
}

# Of the machine and the installation: a pattern → what stands in its place.
MASKED = {
    r'("(?:checkpoint_sha256|lightning_tasks|lightning-tasks|torch|timm|onnx)": )"[^"]*"': r'\1"MASKED"',
    r"\b\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?\b": "DATE",
    "─+": "─",  # as wide as the terminal
    r"\b[0-9.]+ (s|seconds|min)\b": "TIME",
    r"\b(torch|timm|lightning.tasks|pytorch.lightning|[Pp]ython) \d+(\.\w+)+(\+\w+)?": r"\1 VERSION",
}
# A number: not the one in the middle of a word such as `val_0`.
_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d+(?:,\d{3}(?!\d))*(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w)")
# The sums of float32 differ in their order from CPU to CPU. Without vector instructions, in place of AVX-512, what is
# recorded differs by 2e-5 of its value, or 1e-6, at most; this is ten times as much.
RELATIVE, ABSOLUTE = 2e-4, 1e-5


def masked(text):
    """Return the text without what is of the machine or the day, and of the folder in which it was made."""
    text = text.replace(str(Path.cwd()), "FOLDER")
    for pattern, instead in MASKED.items():
        text = re.sub(pattern, instead, text)
    return text


def renamed(name, text):
    """Return a recorded answer in the words of now."""
    for pattern, words in RENAMED.items():
        if fnmatch(name, pattern):
            for then, now in words.items():
                text = re.sub(rf"(?<![^\W_]){re.escape(then)}(?![^\W_])", now, text)
    return text


def in_order(name, text):
    """Return JSON with its keys sorted: they may have other names."""
    return json.dumps(json.loads(text), indent=1, sort_keys=True) if name.endswith(".json") else text


def difference(recorded, now, relative=None, absolute=ABSOLUTE):
    """Return the first line that differs in words or in a number, as it was and as it is; None: there is none."""
    then_lines, now_lines = (
        [" ".join(line.split()) for line in text.splitlines() if line.strip()] for text in (recorded, now)
    )
    for row, (then, line) in enumerate(zip(then_lines, now_lines, strict=False), start=1):
        if not _alike(then, line, relative or RELATIVE, absolute):
            return f"line {row}\n  recorded: {then}\n  now:      {line}"
    common = min(len(then_lines), len(now_lines))
    if len(then_lines) > common:
        return f"line {common + 1} is no more there: {then_lines[common]}"
    if len(now_lines) > common:
        return f"line {common + 1} is new: {now_lines[common]}"
    return None


def _alike(then, now, relative, absolute):
    if _NUMBER.sub("#", then) != _NUMBER.sub("#", now):
        return False
    pairs = zip(_NUMBER.findall(then), _NUMBER.findall(now), strict=True)
    return all(_near(*pair, relative, absolute) for pair in pairs)


def _near(then, now, relative, absolute):
    if not re.search("[.eE]", then + now):
        return then == now  # counts and sizes
    a, b = (float(text.replace("−", "-").replace(",", "")) for text in (then, now))
    decimals = max(len(text.partition(".")[2]) for text in (then, now))
    # What is printed may round to either side; a single decimal below 1 is no rounded number but a setting.
    rounded = 1.01 * 10.0**-decimals if decimals > 1 or abs(a) >= 1 else 0.0
    return abs(a - b) <= max(absolute, relative * abs(a), rounded)
