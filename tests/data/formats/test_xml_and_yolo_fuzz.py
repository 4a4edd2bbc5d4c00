"""Whatever files of these formats hold, only errors of our own come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import READERS, read_annotations
from lightning_tasks.data.tables.formats.source import Source
from tests.data.formats import test_cvat, test_voc_xml, test_yolo
from tests.test_fuzz import CHANGES, CONTENT, cases, only_our_own

ANY = st.sampled_from(
    [
        *("<annotation>", "</annotation>", "<object>", "</object>", "<name>", "</name>", "<filename>", "</filename>"),
        *("..", ".", "/", "a.jpg", "\\", "<bndbox>", "<xmin>", "1", "-1", "nan", "1e999", "<!DOCTYPE a [", "]>", "&a;"),
        *("<image name='a.jpg'>", "</image>", "<tag label='a'/>", "<points label='a' points='1,2;", "'/>", "<meta>"),
        *("</meta>", "<labels>", "<label>", "</label>", "<parent>", "<skeleton label='a'>", "</skeleton>", "\0", "é"),
        *(
            "names:",
            " [a, b]",
            "\n",
            "train: ",
            "images",
            "{",
            "}",
            "[",
            "]",
            "- ",
            "0: a",
            "kpt_shape: [2, 3]",
            "nc: 2",
        ),
        *("flip_idx: [1, 0]", "path: /", "0 .5 .5 .1 .1", "0 .5 .5 .1 .1 0 0 2 .1 .1 1", " 2", "٣", "1_0", "&a ", "*a"),
    ]
)
TEXTS = st.lists(ANY, max_size=25).map(lambda pieces: "".join(pieces).encode())
FILES = {
    "cvat": (test_cvat, "annotations.xml", b"<annotations>"),
    "voc": (test_voc_xml, "a.xml", b"<annotation>"),
    "yolo": (test_yolo, "data.yaml", b"names: [a]\ntrain: images\n"),
    "yolo labels": (test_yolo, "labels/train/a.txt", b"0 .5 .5 .1 .1\n"),
}


@pytest.fixture(scope="module", params=FILES)
def example(request, tmp_path_factory):
    module, name, start = FILES[request.param]
    folder = module.write_example(tmp_path_factory.mktemp("fuzzed"))
    return folder, folder / name, (folder / name).read_bytes(), start, request.param.split()[0]


@cases(60)
@given(text=st.one_of(CONTENT, TEXTS), changes=CHANGES, keep=st.integers(0, 4000), how=st.integers(0, 2))
def test_only_our_own_errors_come_out(example, text, changes, keep, how):
    folder, path, good, start, name = example
    changed = bytearray(good[:keep])
    for at, value in changes:
        changed[at % max(1, len(changed)) : at % max(1, len(changed)) + 1] = bytes([value])
    path.write_bytes([text, start + text, bytes(changed)][how])
    only_our_own(read_annotations, folder, ReadOptions(), name)
    for reader in READERS:
        reader.recognises(Source(folder))


def test_deep_nesting_ends(tmp_path):
    deep = 70_000
    (tmp_path / "a.xml").write_text(f"<annotation>{'<part>' * deep}{'</part>' * deep}</annotation>")
    assert len(read_annotations(tmp_path, ReadOptions(), "voc").images) == 1
    (tmp_path / "data.yaml").write_text(f"names: {'[' * 2_000}{']' * 2_000}\ntrain: images")
    only_our_own(read_annotations, tmp_path, ReadOptions(), "yolo")
