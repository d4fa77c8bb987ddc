"""Trains a small network on the CPU, with checkpoints, so that it can be interrupted anywhere.

A checkpoint holds the weights, the state of the random numbers and the step. It is written slowly,
beside the old one, and takes its place by a rename. Where the container is started again, the
newest checkpoint is where the training goes on; steps after it are made again and say so.

``HOLDS`` names a step for each of the first attempts, at which it waits to be interrupted: however
late that comes.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import random
import signal
import sys
import time

STEPS, EVERY, INPUTS, HIDDEN = 120, 10, 4, 8
FOLDER = "output"
HOLDS = [int(step) for step in os.environ.get("HOLDS", "").split()]
CHECKPOINT = os.path.join(FOLDER, "checkpoint")


def initial():
    rng = random.Random(7)
    return {
        "step": 0,
        "rng": rng.getstate(),
        "first": [[rng.gauss(0, 0.5) for _ in range(INPUTS)] for _ in range(HIDDEN)],
        "second": [rng.gauss(0, 0.5) for _ in range(HIDDEN)],
    }


def train_step(state, rng):
    """One step of stochastic gradient descent on y = sin(sum(x)); returns the loss."""
    x = [rng.uniform(-1, 1) for _ in range(INPUTS)]
    target = math.sin(sum(x))
    hidden = [math.tanh(sum(w * v for w, v in zip(row, x, strict=True))) for row in state["first"]]
    error = sum(w * h for w, h in zip(state["second"], hidden, strict=True)) - target
    for j, h in enumerate(hidden):
        slope = error * state["second"][j] * (1 - h * h)
        state["second"][j] -= 0.05 * error * h
        for i, v in enumerate(x):
            state["first"][j][i] -= 0.05 * slope * v
    return error * error


def save(state):
    data = pickle.dumps(state)
    half = CHECKPOINT + ".half"
    with open(half, "wb") as file:
        for start in range(0, len(data), len(data) // 8):
            file.write(data[start : start + len(data) // 8])
            file.flush()
            time.sleep(0.05)
    os.replace(half, CHECKPOINT)
    print(f"saved {state['step']}", flush=True)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    state = initial()
    if os.path.exists(CHECKPOINT):
        with open(CHECKPOINT, "rb") as file:
            state = pickle.load(file)
        print(f"restored {state['step']}", flush=True)
    hold = dict(enumerate(HOLDS, 1)).get(int(os.environ["DSTACK_ATTEMPT"]))
    rng = random.Random()
    rng.setstate(state["rng"])
    while state["step"] < STEPS:
        loss = train_step(state, rng)
        state["step"] += 1
        state["rng"] = rng.getstate()
        print(f"step {state['step']} loss {loss:.6f}", flush=True)
        time.sleep(0.05)
        if state["step"] % EVERY == 0:
            save(state)
        while state["step"] == hold:
            time.sleep(0.05)
    weights = repr((state["first"], state["second"])).encode()
    print(f"weights {hashlib.sha256(weights).hexdigest()}", flush=True)


if __name__ == "__main__":
    main()
