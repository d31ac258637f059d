"""ONNX with 8-bit convolution kernels, a scale a channel: little more than a third of the file.

ONNX Runtime's quantiser rounds them; it computes in float32. `quantize_dynamic` also rounds
activations, with one scale for a whole batch, so that a picture would depend on those it is drawn
with: on a network trained on the digits by up to 11 of 255 levels. Matrices are stored as float16:
ONNX Runtime computes products with 8-bit matrices on rounded activations.
"""

from .onnx import load as load
from .onnx import recognises as recognises
from .onnx_float16 import with_float16_weights

ARTEFACT = "denoiser_int8.onnx"
PARTS = ()  # one file
ours = None
# Any predicted number from the live network's: what rounding the kernels to 8 bits does.
TOLERANCE = 2e-1


def write(source, path):
    """Writes the ONNX graph with 8-bit convolution kernels.

    Args:
        source: ExportSource.
        path: Path. The file to make.
    """
    import onnx

    onnx.save(with_float16_weights(with_int8_kernels(source.onnx_model)), path)


def with_int8_kernels(model):
    """A copy of an ONNX model whose convolutions have 8-bit kernels, with a scale for each output.

    Args:
        model: onnx.ModelProto.

    Returns:
        onnx.ModelProto.
    """
    import onnx
    from onnxruntime.quantization import QDQQuantizer, QuantType

    class WeightQuantizer(QDQQuantizer):
        def quantize_activation_tensor(self, tensor_name):
            pass

        def quantize_bias_tensor(self, *arguments):
            pass

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    quantizer = WeightQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=None,
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv", "ConvTranspose"],
        extra_options={"WeightSymmetric": True},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model
