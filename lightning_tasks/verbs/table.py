"""The verbs, in the order of help: the one list from which help, parser and dispatch are made. Nothing heavy here."""

from enum import Enum, auto
from typing import NamedTuple


class Kind(Enum):
    """What a verb is given."""

    FUNCTION = auto()  # its own arguments alone: the function of the verb's name is its command line
    DATA = auto()  # a data module; this kind, RUN and CHECKPOINT are methods of the Trainer
    RUN = auto()  # data and model, and a new folder for what it writes
    FOLDS = auto()  # as RUN, anew for each fold; no method: `crossval.py` runs `fit` for each
    CHECKPOINT = auto()  # a checkpoint, which says what data and model were


class Verb(NamedTuple):
    """A line of help, and where the verb's work is: in the module of its name in this folder, or in Lightning."""

    name: str
    example: str
    text: str
    kind: Kind
    # Which of its parameters stand without a name. Of a FUNCTION the last may be several; of a CHECKPOINT they are
    # those besides the checkpoint, which stands first.
    words: tuple[str, ...] = ()


_CONFIG = "--config pascal"
_BEST = "best.ckpt"
VERBS = (
    Verb("configs", "", "list the configs that come with it; --show NAME prints one", Kind.FUNCTION),
    Verb("init", "ANNOTATIONS", "write a config for your own data, of any format", Kind.FUNCTION, ("path",)),
    Verb("convert", "ANNOTATIONS", "write a table from another tool's annotations", Kind.FUNCTION, ("path",)),
    Verb("schema", "FILE", "write a JSON schema, by which editors complete configs", Kind.FUNCTION, ("output",)),
    Verb("prepare", _CONFIG, "get and check the data", Kind.DATA),
    Verb("check", _CONFIG, "read every image once, and list what is wrong", Kind.DATA),
    Verb("summary", _CONFIG, "what there is, and one sample step by step", Kind.DATA),
    Verb("show_batch", _CONFIG, "draw training images as the model will see them", Kind.DATA),
    Verb("lr_find", _CONFIG, "suggest a learning rate", Kind.RUN),
    Verb("probe", _CONFIG, "fit the head alone, to kept features: a minute", Kind.RUN),
    Verb("fit", _CONFIG, "train; --ckpt_path last resumes the newest run", Kind.RUN),
    Verb("crossval", f"{_CONFIG} --folds 5", "fit once without each fold; the scores' mean and spread", Kind.FOLDS),
    Verb("validate", _BEST, "score on the validation split", Kind.CHECKPOINT),
    Verb("test", _BEST, "score on the test table", Kind.CHECKPOINT),
    Verb("thresholds", _BEST, "choose thresholds, and keep them in the checkpoint", Kind.CHECKPOINT),
    Verb("get_preds", _BEST, "write what it says of each image to a csv", Kind.CHECKPOINT),
    Verb(
        "show_results", _BEST, "draw targets beside predictions; --worst true, --grad_cam LABEL", Kind.CHECKPOINT
    ),
    Verb("label_errors", _BEST, "list annotations that are probably wrong", Kind.CHECKPOINT),
    Verb("report", _BEST, "write one html page about it", Kind.CHECKPOINT),
    Verb(
        "compare", "A.ckpt B.ckpt", "score two on the same images: is one better, and where?",
        Kind.CHECKPOINT, ("other",),
    ),
    Verb(
        "predict", f"{_BEST} holiday/ a.jpg", "predict any images, and write a table, or pre-annotations",
        Kind.FUNCTION, ("checkpoint", "paths"),
    ),
    Verb(
        "export", f"{_BEST} --format onnx", "write it for other programs, and check that it says the same",
        Kind.FUNCTION, ("checkpoint",),
    ),
    Verb("serve", _BEST, "answer over HTTP, with a page to try images on", Kind.FUNCTION, ("checkpoint",)),
)  # fmt: skip
OF_THE_TRAINER = (Kind.DATA, Kind.RUN, Kind.CHECKPOINT)
OUT_OF_FOLD = ("label_errors",)  # of the checkpoint's: they take the folder of a cross-validation too
LIGHTNINGS_OWN = ("fit", "validate", "test")


def verbs_of(kind: Kind) -> dict[str, Verb]:
    """Return the verbs of one kind by their names."""
    return {verb.name: verb for verb in VERBS if verb.kind is kind}


def help_lines() -> str:
    """Return a line for each verb: an example of its use, and what it does."""
    return "\n".join(f"  lightning-tasks {f'{verb.name:<8} {verb.example}':<38} {verb.text}" for verb in VERBS)
