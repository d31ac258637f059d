"""The page's JavaScript, asked from Python."""

import json
import subprocess
from pathlib import Path

import pytest

ANSWER = Path(__file__).parent / "answer.mjs"
PAGE = Path(__file__).parents[3] / "kdiffusion" / "parts" / "web" / "page"


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
