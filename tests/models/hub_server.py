"""A local server that speaks the Hugging Face hub's HTTP, as far as files are fetched from it."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import timm
import torch
from safetensors.torch import save

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


class Hub:
    """Files by `USER/NAME` and file name, and who may see them; what was asked for is noted."""

    def __init__(self):
        self.files = {}
        self.private = set()
        self.gated = set()
        self.asked = []
        self.url = ""

    def add(self, repo, architecture="test_resnet", *, config=None, classes=10, **arguments):
        """Add a model of random weights as timm writes one; return its state."""
        torch.manual_seed(len(self.files))
        state = timm.create_model(architecture, num_classes=classes, **arguments).state_dict()
        cfg = {"mean": MEAN, "std": STD, "input_size": [3, 160, 160], "num_classes": classes}
        cfg |= {key: timm.create_model(architecture).pretrained_cfg[key] for key in ("classifier", "first_conv")}
        found = {"architecture": architecture, "num_classes": classes, "pretrained_cfg": cfg}
        found |= {"model_args": arguments} if arguments else {}
        self.files[repo] = {
            "config.json": json.dumps(found if config is None else config).encode(),
            "model.safetensors": save(state),
        }
        return state


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        hub = self.server.hub
        parts = self.path.strip("/").split("/")
        if len(parts) < 5 or parts[2] != "resolve":
            return self.refuse(404, None)
        user, name, _, revision, *rest = parts
        repo, file = f"{user}/{name}", "/".join(rest)
        hub.asked.append((repo, file))
        if repo not in hub.files or (repo in hub.private and "Authorization" not in self.headers):
            return self.refuse(401, "RepoNotFound" if "Authorization" in self.headers else None)
        if repo in hub.gated:
            return self.refuse(403, "GatedRepo")
        if revision not in ("main", COMMIT):
            return self.refuse(404, "RevisionNotFound")
        content = hub.files[repo].get(file)
        if content is None:
            return self.refuse(404, "EntryNotFound")
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
        return None

    def refuse(self, status, code):
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = Hub()
    server.hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
