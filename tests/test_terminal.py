import pytest


@pytest.mark.slow
def test_tensorflow_starts_without_a_word(run_python):
    program = "from kdiffusion.terminal import import_tensorflow; import_tensorflow()"
    done = run_python("-c", program, env={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert (done.stdout, done.stderr) == ("", "")
