"""Ask this version what the recorded checkpoints say: each answer is a text, made in a folder with `data` and `runs`.

Only what stays is used: the command line, `load`, files, and the addresses of the server.
"""

import contextlib
import dataclasses
import html
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lightning_tasks import load
from lightning_tasks.__main__ import console

VARIANTS = ("labels", "one_label", "points", "heatmap")
CPU = ("--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false")
IMAGES = ("upright.png", "wide.png", "tall.png", "turned.png", "grey.png", "tiny.png")


def checkpoint(variant, name="best"):
    return f"runs/{variant}/version_0/checkpoints/{name}.ckpt"


def run(*args, code=0):
    """Run a verb; return what it printed to standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        ended = console(list(args))
    assert ended == code, (args, ended)
    return out.getvalue()


def predict(variant, suffix, *options, ckpt=None):
    output = f"{variant}_predictions{suffix}"
    paths = [f"data/{name}" for name in (*IMAGES, "broken.png")]
    words = ("--output", output, "--device", "cpu", "--progress", "false", *options)
    run("predict", ckpt or checkpoint(variant), *paths, *words, code=1)  # one image cannot be read
    return Path(output).read_text(encoding="utf-8")


def predict_csv(variant):
    return predict(variant, ".csv")


def predict_json(variant):
    return predict(variant, ".json")


def predict_flip(variant):
    return predict(variant, ".csv", "--flip", "true")


def predict_scales(variant):
    return predict(variant, ".csv", "--scales", "[1.0,1.5]", "--flip", "true")


def predict_said(variant):
    """What is printed, and a threshold for all labels."""
    more = () if variant in ("points", "heatmap") else ("--threshold", "0.4")
    return run("predict", checkpoint(variant), "data/wide.png", "--output", "one.csv", "--device", "cpu", *more)


def loaded(variant):
    images = [f"data/{name}" for name in IMAGES]
    found = load(checkpoint(variant), "cpu")(images, batch_size=2)
    plain = [{key: np.asarray(value).tolist() for key, value in dataclasses.asdict(one).items()} for one in found]
    return json.dumps(plain, indent=1)


def get_preds(variant):
    said = run("get_preds", checkpoint(variant), *CPU, "--output", "get_preds.csv")
    return said + Path("get_preds.csv").read_text(encoding="utf-8")


def validate(variant):
    return run("validate", checkpoint(variant), *CPU)


def validate_flip(variant):
    return run("validate", checkpoint(variant), *CPU, "--model.flip_tta", "true")


def summary(variant):
    kind, csv = ("Keypoint", "points") if variant in ("points", "heatmap") else ("MultiLabel", variant)
    more = ("--data.label_separator", "none") if variant == "one_label" else ()
    words = ("--data", f"{kind}DataModule", "--data.root", "data", "--data.csv", f"{csv}.csv", "--data.size", "64")
    return run("summary", *words, *more, "--trainer.accelerator", "cpu")


def thresholds(variant):
    kept = "chosen.ckpt"
    said = run("thresholds", checkpoint(variant), *CPU, "--calibrate", "true", "--output", kept)
    return said + predict(variant, ".csv", ckpt=kept)


def report(variant):
    """The words of the page, without its figures and the time, and without what pages have since."""
    run("report", checkpoint(variant), *CPU, "--output", "report.html")
    page = Path("report.html").read_text(encoding="utf-8")
    data = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    page = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    page = re.sub(r'<(section) id="confusions".*?</section>|<a href="#confusions">\w+</a>', " ", page, flags=re.DOTALL)
    page = re.sub(r'<(\w+)[^>]* class="interval.*?</\1>', " ", page, flags=re.DOTALL)
    words = (" ".join(part.split()) for part in html.unescape(re.sub(r"<[^>]*>", "\n", page)).splitlines())
    return "\n".join([*filter(None, words), *data]) + "\n"


def resumed(variant):
    """The scores of one more epoch, after the recorded ones."""
    config = f"runs/{variant}/version_0/config.yaml"
    more = ("--trainer.max_epochs", "21", "--ckpt_path", "last")
    run("fit", "--config", config, *CPU, *more)
    table = pd.read_csv(f"runs/{variant}/version_0/metrics.csv")
    scores = {name: table[name].dropna().tolist() for name in table if re.match("(train|val)/(?!sec)", name)}
    return json.dumps(scores, indent=1)


def image():
    """An array as exported programs take it."""
    return np.random.default_rng(5).integers(0, 256, (1, 50, 70, 3), dtype=np.uint8)


def exported(variant, format, output):
    run("export", checkpoint(variant), "--format", format, "--output", output, "--n", "2")


def export_onnx(variant):
    import onnx
    import onnxruntime

    exported(variant, "onnx", "model.onnx")
    model = onnx.load("model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    said = {
        "inputs": [one.name for one in session.get_inputs()],
        "outputs": {
            one.name: session.run([one.name], {"images": image()})[0].tolist() for one in session.get_outputs()
        },
        "metadata": {entry.key: entry.value for entry in model.metadata_props},
    }
    return json.dumps(said, indent=1)


def export_torch(variant):
    exported(variant, "torch", "model.pt2")
    with zipfile.ZipFile("model.pt2") as file:
        parts = [name.partition("/extra/")[2] for name in file.namelist()]
    metadata = dict.fromkeys(filter(None, parts), "")
    program = torch.export.load("model.pt2", extra_files=metadata).module()
    with torch.inference_mode():
        said = {"outputs": program(torch.from_numpy(image())).tolist(), "metadata": metadata}
    return json.dumps(said, indent=1)


def export_safetensors(variant):
    from safetensors import safe_open

    exported(variant, "safetensors", "model.safetensors")
    with safe_open("model.safetensors", "pt") as file:
        tensors = {name: list(file.get_slice(name).get_shape()) for name in sorted(file.keys())}
        said = {"metadata": file.metadata(), "tensors": tensors, "json": json.loads(Path("model.json").read_text())}
    return json.dumps(said, indent=1)


def http(variant):
    """The server's answers, from the application that the verb `serve` hands to uvicorn."""
    import uvicorn
    from fastapi.testclient import TestClient

    apps, threads, run_server = [], torch.get_num_threads(), uvicorn.Server.run
    uvicorn.Server.run = lambda server, sockets=None: apps.append(server.config.app)
    try:
        run("serve", checkpoint(variant), "--port", "0", "--device", "cpu")
        client = TestClient(apps[0], base_url="http://127.0.0.1")
        answers = {"model": client.get("/model").json(), "health": client.get("/health").json()}
        for name in IMAGES:
            body = Path("data", name).read_bytes()
            answer = client.post("/predict", content=body, headers={"content-type": "image/png"})
            answers[name] = [answer.status_code, answer.json()]
        refused = client.post("/predict", content=b"no image", headers={"content-type": "image/png"})
        form = client.post("/predict", files={"picture": Path("data/wide.png").read_bytes()})
        answers |= {"refused": [refused.status_code, refused.json()], "form": [form.status_code, form.json()]}
    finally:
        uvicorn.Server.run = run_server
        torch.set_num_threads(threads)
    return json.dumps(answers, indent=1)


OF_ALL = {
    "predict.csv": predict_csv,
    "predict.json": predict_json,
    "predict_flip.csv": predict_flip,
    "predict_scales.csv": predict_scales,
    "predict.txt": predict_said,
    "load.json": loaded,
    "get_preds.csv": get_preds,
    "validate.txt": validate,
    "validate_flip.txt": validate_flip,
    "summary.txt": summary,
    "report.txt": report,
    "http.json": http,
    "onnx.json": export_onnx,
    "torch.json": export_torch,
    "safetensors.json": export_safetensors,
}
ANSWERS = {(variant, name): ask for variant in VARIANTS for name, ask in OF_ALL.items()}
ANSWERS |= {("labels", "thresholds.txt"): thresholds, ("labels", "resumed.json"): resumed}
