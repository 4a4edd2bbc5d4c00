import numpy as np
import pytest

from tests.conftest import train
from tests.fakes import write_image

LINES = ["fname,group,is_valid,age,weight", *(f"{i}.jpg,p{i // 2},{i >= 6},{30 + 10 * i},{i / 10}" for i in range(8))]
LINES[3] = "2.jpg,p1,False,,0.2"
LINES[8] = "7.jpg,p3,True,100,"


def write_values(root, lines=LINES):
    for i in range(8):
        write_image(root / f"{i}.jpg", seed=i)
    (root / "values.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def values_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("values")
    write_values(folder / "root")
    return folder, train(folder, "values.yaml")


AGES = np.array([30.0, 40.0, np.nan, 60.0, 70.0, 80.0])  # of training
WEIGHTS = np.arange(6) / 10
