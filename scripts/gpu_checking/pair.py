"""Two processes that train together on one GPU: by NCCL, which may refuse it, and by gloo."""

import os
import socket
import subprocess
import sys
from typing import Any

from gpu_checking.step import Check, each, run

_RUN = (
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "6", "--trainer.limit_val_batches", "2"),
    *("--trainer.num_nodes", "2", "--trainer.devices", "1", "--data.batch_size", "4"),
)
_LIMIT_S = 40


def pair(check: Check) -> None:
    """Train with each backend; NCCL's refusal of one GPU for two is no fault."""
    parts = {"gloo": lambda: together(check, "gloo")}
    if check.device == "cuda":
        check.note(nccl=together(check, "nccl", may_fail=True))
    each(check, parts)


def together(check: Check, backend: str, *, may_fail: bool = False) -> dict[str, Any]:
    """Train with two processes that take each other for other machines; return how they ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    strategy = ["--trainer.strategy", "DDPStrategy", "--trainer.strategy.process_group_backend", backend]
    arguments = check.arguments("fit", "labels", f"pair_{backend}", *_RUN, *strategy)
    command = [sys.executable, "-m", "lightning_tasks", *arguments]
    processes = []
    for rank in range(2):
        env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(rank)}
        log = check.work / f"pair_{backend}_{rank}.log"
        with log.open("wb") as file:
            processes.append((subprocess.Popen(command, env=env, stdout=file, stderr=file), log))
    limit_s = _LIMIT_S * (3 if check.device == "cpu" else 1)
    codes = []
    for process, _ in processes:
        try:
            codes.append(process.wait(limit_s))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(-9)
    texts = [log.read_text(encoding="utf-8", errors="replace") for _, log in processes]
    print(*texts, sep="\n")
    last = [[line for line in text.splitlines() if "rror" in line or "Duplicate" in line][-3:] for text in texts]
    if any(codes) and not may_fail:
        raise ValueError(f"ended with {codes}: {last}")
    return {"codes": codes, "last_lines": last} if any(codes) else {"codes": codes}


if __name__ == "__main__":
    run(pair)
