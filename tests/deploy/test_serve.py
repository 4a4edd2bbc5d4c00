"""The server's answers and refusals, without a network."""

import io
import re
import socket
import struct
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_tasks import load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.verbs import serve as serving
from tests.fakes import write_image

TestClient = pytest.importorskip("fastapi.testclient", exc_type=ImportError).TestClient
from lightning_tasks.deploy.server.app import make_app  # noqa: E402 - an extra
from lightning_tasks.deploy.server.limits import Limits  # noqa: E402

SMALL = Limits(max_bytes=200_000, max_pixels=1_000_000, drain_timeout_s=0.2)


def client_of(predictor, limits=SMALL, hosts=None, origins=()):
    return TestClient(make_app(predictor, limits, "best.ckpt", hosts, origins), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def labels(labels_run):
    return load(labels_run[0] / labels_run[1], "cpu")


@pytest.fixture(scope="module")
def points(points_run):
    return load(points_run[0] / points_run[1], "cpu")


@pytest.fixture(scope="module")
def client(labels):
    with client_of(labels) as client:
        yield client


def png_of(width, height):
    """Return a black PNG of any size: a few bytes for each million pixels."""
    rows = zlib.compress(bytes(1 + (width + 7) // 8) * height, 9)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def image(kind="JPEG", mode="RGB", **options):
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (30, 44, 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return image(exif=exif)


def sixteen_bits():
    pixels = np.random.default_rng(4).integers(0, 2**16, (20, 24, 3), dtype=np.uint16)
    return cv2.imencode(".png", pixels)[1].tobytes()


IMAGES = {
    "jpeg": image(),
    "grey": image(mode="L"),
    "cmyk": image(mode="CMYK"),
    "progressive": image(progressive=True),
    "turned": turned(),
    "png": image("PNG"),
    "rgba": image("PNG", "RGBA"),
    "palette": image("PNG", "P"),
    "16 bits": sixteen_bits(),
    "webp": image("WEBP"),
    "avif": image("AVIF"),
    "gif": image("GIF", "P"),
    "with a video behind it": image() + bytes(range(256)) * 300,
    "bmp": image("BMP"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_labels_are_those_of_the_file(client, labels, tmp_path, name):
    data = IMAGES[name]
    (tmp_path / "image").write_bytes(data)
    wanted = labels(tmp_path / "image")
    answer = client.post("/predict", content=data).json()
    found = {one["label"]: one for one in answer["predicted"]}
    assert [
        np.float32(found[label]["probability"]) for label in labels.output_format.names
    ] == wanted.probabilities.tolist()
    assert tuple(one["label"] for one in answer["predicted"] if one["chosen"]) == wanted.labels
    assert {one["threshold"] for one in answer["predicted"]} == {0.5}
    probabilities = [one["probability"] for one in answer["predicted"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert (answer["width_px"], answer["height_px"]) == {"turned": (30, 44), "16 bits": (24, 20)}.get(name, (44, 30))


def test_points_are_those_of_the_file(points, tmp_path):
    write_image(tmp_path / "0.jpg", (50, 70))
    with client_of(points) as client:
        answer = client.post("/predict", content=(tmp_path / "0.jpg").read_bytes()).json()
        assert client.get("/model").json()["points"] == ["l", "r"]
    assert [one["name"] for one in answer["points"]] == ["l", "r"]
    found = np.array([[one["x_px"], one["y_px"]] for one in answer["points"]], dtype=np.float32)
    assert (found == points(tmp_path / "0.jpg").points_px).all()
    assert (answer["width_px"], answer["height_px"]) == (70, 50)


def test_as_a_form_or_as_it_is(client):
    data = IMAGES["jpeg"]
    wanted = client.post("/predict", content=data).json()
    for kind in ("image/jpeg", "IMAGE/PNG; x=y", "application/octet-stream", "application/x-www-form-urlencoded"):
        assert client.post("/predict", content=data, headers={"Content-Type": kind}).json() == wanted
    for field in ("image", "file"):
        assert client.post("/predict", files={field: ("a.jpg", data)}, data={"more": "fields"}).json() == wanted
    assert client.post("/predict", files={"file": ("a.jpg", data)}, data={"image": "its name"}).json() == wanted


def test_one_label_an_image(labels_run, tmp_path):
    content = read_checkpoint(labels_run[0] / labels_run[1])
    content["hyper_parameters"]["loss"] = "cross_entropy"
    torch.save(content, tmp_path / "one.ckpt")
    with pytest.warns(LightningTasksWarning, match="is now MultiClassClassifier"):
        predictor = load(tmp_path / "one.ckpt", "cpu")
    with client_of(predictor) as client:
        answer = client.post("/predict", content=IMAGES["png"]).json()
        assert client.get("/model").json()["labels"][0] == {"label": "cat", "threshold": None}
    assert [one["chosen"] for one in answer["predicted"]] == [True, False]
    assert answer["predicted"][0]["threshold"] is None


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"", {}, 422, "is empty"),
        (b"hello", {}, 422, "not a JPEG, PNG"),
        (b"\xff\xd8", {}, 422, "not a JPEG, PNG"),
        (IMAGES["jpeg"][: len(IMAGES["jpeg"]) * 2 // 3], {}, 422, "cut short"),
        (IMAGES["png"][:-900], {}, 422, "cut short"),
        (IMAGES["webp"][:-90], {}, 422, "cut short"),
        (image("TIFF"), {}, 422, "not a JPEG, PNG"),
        (b"{}", {"Content-Type": "application/json"}, 415, "application/json is no image"),
        (b"x" * 300_000, {}, 413, r"0\.2 MB at most"),
        (iter([b"x" * 60_000] * 5), {}, 413, r"0\.2 MB at most"),  # chunked: no Content-Length
        (png_of(4000, 300), {}, 413, "1 megapixels at most.*4,000×300"),
        (png_of(30_000, 30_000), {}, 413, "megapixels at most"),
        (png_of(70_000, 1), {}, 413, "65,535 on a side"),
        (b"nothing", FORM, 400, "form cannot be read"),
        (b"nothing", {"Content-Type": "multipart/form-data"}, 400, "boundary"),
        (b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--x--\r\n', FORM, 422, "no file"),
        (b'--x\r\nContent-Disposition: form-data; name="p"; filename="a"\r\n\r\na\r\n--x--\r\n', FORM, 422, "no file"),
        (b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nend', FORM, 422, "no file"),
        (b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\na\r\n' * 2, FORM, 400, "Too many"),
        (IMAGES["jpeg"], {"Sec-Fetch-Site": "cross-site"}, 403, "other sites"),
    ],
)  # fmt: skip
def test_refusals(client, content, headers, status, message):
    refusal = client.post("/predict", content=content, headers=headers)
    assert refusal.status_code == status, refusal.text
    assert re.search(message, refusal.json()["detail"])
    assert len(refusal.json()["detail"]) < 200
    assert client.get("/health").json() == {"status": "ok", "running": 0, "waiting": 0}


def test_large_images_are_refused_before_they_are_decoded(client, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    for size in ((1001, 1000), (65_536, 2)):
        assert client.post("/predict", content=png_of(*size)).status_code == 413


def test_damaged_images_never_break_it(client):
    rng = np.random.default_rng(0)
    for name, data in IMAGES.items():
        for _ in range(25):
            damaged = np.frombuffer(data, dtype=np.uint8).copy()
            where = rng.integers(0, min(len(data), 400 if rng.random() < 0.7 else len(data)), rng.integers(1, 9))
            damaged[where] = rng.integers(0, 256, len(where))
            answer = client.post("/predict", content=damaged[: rng.integers(1, len(data) + 1)].tobytes())
            assert answer.status_code in (200, 413, 422), (name, answer.text)


def test_only_under_its_own_name(labels):
    with client_of(labels, hosts=("localhost", "127.0.0.1", "[::1]")) as client:
        for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST:80"):
            assert client.get("/health", headers={"Host": host}).status_code == 200
        for host in ("evil.com", "localhost.evil.com:8000", "evil.com:localhost", "", "localhost:8000:1x", "::1"):
            answer = client.get("/health", headers={"Host": host})
            assert (answer.status_code, "answers to localhost" in answer.json()["detail"]) == (400, True)


def test_under_the_names_that_are_allowed(labels):
    with client_of(labels, hosts=serving._hosts("127.0.0.1", serving._split("A.example, *.b.example"))) as client:
        for host in ("localhost:8000", "127.0.0.1", "a.example", "A.EXAMPLE:443", "x.b.example", "y.x.b.example"):
            assert client.get("/health", headers={"Host": host}).status_code == 200
        for host in ("b.example", "evil-b.example", "xa.example", "a.example.evil.com", "x.a.example"):
            answer = client.get("/health", headers={"Host": host})
            assert (answer.status_code, "--allowed_hosts" in answer.json()["detail"]) == (400, True)
    assert serving._hosts("0.0.0.0", []) is None
    assert serving._hosts("0.0.0.0", ["a.example"])[-1] == "a.example"
    assert "192.168.1.5" in serving._hosts("192.168.1.5", ["a.example"])


def test_head_is_answered_where_get_is(client):
    for path in ("/health", "/model", "/", "/docs", "/openapi.json"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert client.head("/predict").status_code == 405
    assert client.head("/nothing").status_code == 404


def test_the_pages_of_allowed_sites_may_ask(labels):
    page = {"Origin": "https://a.example", "Sec-Fetch-Site": "cross-site"}
    asks = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origins in (["https://a.example", "http://localhost:3000"], ["*"]):
        with client_of(labels, origins=origins) as client:
            assert client.options("/predict", headers=asks).status_code == 200
            answer = client.post("/predict", content=IMAGES["png"], headers={**page, "Content-Type": "image/png"})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] in ("https://a.example", "*")
            refusal = client.post("/predict", content=b"none", headers=page)
            assert (refusal.status_code, "access-control-allow-origin" in refusal.headers) == (422, True)
    evil = {**page, "Origin": "https://a.example.evil.com"}
    for origins, headers in ((["https://a.example"], evil), ([], page)):
        with client_of(labels, origins=origins) as client:
            answer = client.post("/predict", content=IMAGES["png"], headers=headers)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
            preflight = client.options("/predict", headers={**asks, **headers})
            assert "access-control-allow-origin" not in preflight.headers


def test_headers(client):
    for path in ("/", "/docs", "/openapi.json", "/health", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert not any(name.startswith("access-control") for name in headers)
    assert client.options("/predict", headers={"Origin": "http://evil.com"}).status_code == 405


def test_model_and_its_description(client):
    model = client.get("/model").json()
    assert model["labels"] == [{"label": "cat", "threshold": 0.5}, {"label": "dog", "threshold": 0.5}]
    assert (model["seen_height_px"], model["seen_width_px"], model["max_mb"]) == (32, 40, 0.2)
    assert set(model["versions"]) == {"lightning-tasks", "torch"}
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/predict", "/model", "/health"}
    predict = schema["paths"]["/predict"]["post"]
    assert {"image/*", "multipart/form-data"} < set(predict["requestBody"]["content"])
    assert {"400", "408", "413", "415", "422", "503"} < set(predict["responses"])
    docs = client.get("/docs").text
    assert "<script" not in docs
    assert all(path in docs for path in (*schema["paths"], "Retry-After", "multipart/form-data", "probability"))


def test_a_model_that_fails(labels):
    def raising(error):
        def predict(image):
            raise error

        predict.output_format, predict.module, predict.white_level = labels.output_format, labels.module, None
        return predict

    for error, message in ((ConfigError("The model predicts NaN."), "NaN"), (RuntimeError("secret"), "its log")):
        with client_of(raising(error)) as client:
            answer = client.post("/predict", content=IMAGES["png"])
            assert (answer.status_code, message in answer.json()["detail"]) == (500, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--max_mb", "0"], "--max_mb"),
        (["--max_megapixels", "2000"], "1000 at most"),
        (["--concurrency", "0"], "--concurrency is 0"),
        (["--queue", "-1"], "--queue is -1"),
        (["--port", "0"], "no checkpoint"),
        (["--allowed_hosts", "http://a.example"], "--allowed_hosts has 'http://a.example'"),
        (["--allowed_hosts", "[a.example, b.example:80]"], "--allowed_hosts has 'b.example:80'"),
        (["--allowed_origins", "a.example"], "--allowed_origins has 'a.example'"),
        (["--allowed_origins", "https://a.example,https://b.example/page"], "has 'https://b.example/page'"),
        (["--host", "no.such.host.invalid"], "cannot be had"),
    ],
)
def test_settings_that_do_not_work(capsys, args, message):
    assert console(["serve", "none.ckpt", *args]) == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", capsys.readouterr().err)


def test_a_port_that_is_taken(capsys):

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert console(["serve", "none.ckpt", "--port", str(port)]) == 2
    assert f"Port {port} of 127.0.0.1 cannot be had" in capsys.readouterr().err


def test_without_its_libraries(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("lightning_tasks.deploy.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert console(["serve", "none.ckpt"]) == 2
    assert capsys.readouterr().err == "error: serve needs fastapi: pip install 'lightning-tasks[serve]'\n"
