"""The archives that `prepare` fetches: where they are, and how each is recognised."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

_MIB = 2**20


class NotTheArchiveError(Exception):
    """What came is not what it should be. Its text is the reason."""


@dataclass(frozen=True)
class Archive:
    """A tar file, compressed by gzip or not, that holds one folder; and what is known of it beforehand.

    Args:
        urls: its addresses, in the order to try them.
        folder: the folder in it whose content is the data set.
        size_bytes: of the file; None: not known.
        md5_of_first_mib: md5 of the first 2^20 bytes, which is all that fastai publishes; None: not known.
        md5: of the whole file; None: not known.
    """

    urls: tuple[str, ...]
    folder: str
    size_bytes: int | None = None
    md5_of_first_mib: str | None = None
    md5: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(urlsplit(self.urls[0]).path).name


PASCAL_2007 = Archive(
    urls=(
        "https://s3.amazonaws.com/fast-ai-imagelocal/pascal_2007.tgz",
        "https://fast-ai-imagelocal.s3.amazonaws.com/pascal_2007.tgz",  # the same by the name of its bucket
    ),
    folder="pascal_2007",
    size_bytes=1_637_796_771,
    md5_of_first_mib="433b4706eb7c42bd74e7f784e3fdf244",
)
BIWI_HEAD_POSE = Archive(
    urls=(
        "https://s3.amazonaws.com/fast-ai-imagelocal/biwi_head_pose.tgz",
        "https://fast-ai-imagelocal.s3.amazonaws.com/biwi_head_pose.tgz",
    ),
    folder="biwi_head_pose",
    size_bytes=452_316_199,
    md5_of_first_mib="00f4ccf66e8cba184bc292fdc08fb237",
)
BIWI_SAMPLE = Archive(
    urls=(
        "https://s3.amazonaws.com/fast-ai-sample/biwi_sample.tgz",
        "https://fast-ai-sample.s3.amazonaws.com/biwi_sample.tgz",
    ),
    folder="biwi_sample",
    size_bytes=593_774,
    md5_of_first_mib="9179f4c1435f4b291f0d5b072d60c2c9",
)
BIWI_AUTHORS = Archive(
    urls=("https://data.vision.ee.ethz.ch/cvl/gfanelli/kinect_head_pose_db.tgz",),
    folder="hpdb",
)
VOC_2007_TRAINVAL = Archive(
    urls=(
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
    ),
    folder="VOCdevkit",
    md5="c52e279531787c972589f7e41ab4ae64",
)
VOC_2007_TEST = Archive(
    urls=(
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
    ),
    folder="VOCdevkit",
    md5="b6e924de25625d8de591ea690078ad9f",
)


def checked_sha256(archive: Archive, path: Path) -> str:
    """Return the sha256 of the file at `path`, once everything that is known of the archive holds for it.

    Raises:
        NotTheArchiveError: something does not.
    """
    size = path.stat().st_size
    if archive.size_bytes is not None and size != archive.size_bytes:
        raise NotTheArchiveError(f"{size:,} bytes came, {archive.size_bytes:,} were expected")
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        first = True
        while block := file.read(_MIB):
            sha256.update(block)
            md5.update(block)
            if first and archive.md5_of_first_mib not in (None, md5.hexdigest()):
                raise NotTheArchiveError("its first mebibyte is not the published one (md5)")
            first = False
    if archive.md5 not in (None, md5.hexdigest()):
        raise NotTheArchiveError("its md5 is not the published one")
    return sha256.hexdigest()
