"""The page's JavaScript, asked from Python."""

import json
import subprocess
from pathlib import Path

import pytest

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.schedules import make_schedule

ANSWER = Path(__file__).parent / "answer.mjs"
PAGE = Path(__file__).parents[2] / "kdiffusion" / "web" / "page"


@pytest.fixture(scope="session")
def ask(find_program):
    """`ask("words", seed=..., ...)`: what the page's modules answer; see answer.mjs."""
    command = [find_program("node", "Node.js 20 or newer"), ANSWER, PAGE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def question(what, **arguments):
            print(json.dumps({"ask": what, **arguments}), file=process.stdin)
            answer = process.stdout.readline()
            assert answer, "Node.js ended; its error is above"
            answer = json.loads(answer)
            assert "error" not in answer, answer["error"]
            return answer["answer"]

        yield question
        process.stdin.close()


@pytest.fixture(scope="session")
def make_card():
    """`make_card(schedule=linear, **fields)`: a card of 2x3 grey images."""

    def make(schedule=None, **overrides):
        schedule = make_schedule("linear") if schedule is None else schedule
        fields = {
            "image_shape": (2, 3, 1),
            "class_names": ("cat", "dog", "ship"),
            "null_label": 3,
            "prediction_type": "epsilon",
            "alphas_cumprod": tuple(schedule.alphas_cumprod),
            "dataset": "toy",
            "preset": "toy",
            "images_seen": 0,
            "ema_decay": 0.0,
            "sampler": "ddim",
            "steps": 10,
            "guidance_strength": 0.0,
        }
        return DenoiserCard(**{**fields, **overrides})

    return make
