"""Whether the machine multiplies bfloat16 itself: where it doesn't, it is slower than float32."""

from pathlib import Path

# A processor says so by one of these words (x86: AVX-512 or AMX; Arm: `bf16`).
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
# NVIDIA's first generation that does (Ampere).
BFLOAT16_COMPUTE_CAPABILITY = (8, 0)


def resolve_policy(name: str) -> str:
    """A Keras dtype policy by name, where `"auto"` is what suits the devices that are there.

    That is mixed_bfloat16 on a TPU, on GPUs and on a processor that multiply it, else float32. On
    a processor with AVX2 alone a step of the digits took 8 times the processor time in bfloat16.
    """
    if name != "auto":
        return name
    return "mixed_bfloat16" if _devices_have_bfloat16() else "float32"


def _devices_have_bfloat16():
    import tensorflow as tf

    if tf.config.list_logical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(_gpu_has_bfloat16(each) for each in details) if gpus else cpu_has_bfloat16()


def cpu_has_bfloat16(description: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the system's own description of the processor names bfloat16 arithmetic.

    Args:
        description: Path. Where there is none, as on macOS, it is taken to have none.
    """
    try:
        return not BFLOAT16_FLAGS.isdisjoint(description.read_text().split())
    except OSError:
        return False


def _gpu_has_bfloat16(details):
    # One that names no compute capability is not NVIDIA's: those that TensorFlow runs on have it.
    return details.get("compute_capability", BFLOAT16_COMPUTE_CAPABILITY) >= (
        BFLOAT16_COMPUTE_CAPABILITY
    )
