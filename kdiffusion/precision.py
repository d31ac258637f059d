"""Whether the hardware multiplies bfloat16; where it doesn't, bfloat16 is slower than float32."""

from pathlib import Path

# Flags of a CPU that does (x86: AVX-512 or AMX; Arm: `bf16`).
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
# NVIDIA's first generation that does is Ampere.
BFLOAT16_COMPUTE_CAPABILITY = (8, 0)


def resolve_policy(name: str) -> str:
    """A Keras dtype policy by name; `"auto"` depends on the devices.

    It is mixed_bfloat16 on a TPU, and on GPUs or a CPU that multiply bfloat16, else float32. On a
    CPU with AVX2 alone a step of the digits took 8 times the CPU time in bfloat16.
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
    """Whether the system's description of the CPU names bfloat16 arithmetic.

    Args:
        description: Path. Without such a file, as on macOS, the answer is False.
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
