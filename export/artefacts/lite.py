"""TFLite files of a network, for LiteRT: built-in operations only."""

import contextlib
import os
import warnings

import tensorflow as tf

from encapnet_tf.ops.acceleration import portable

from ...trainers.runs.errors import UserError

# Variant -> what its file's name adds. "dynamic": 8-bit weights, float arithmetic; "int8": all in 8-bit integers.
VARIANTS = {"float32": "", "float16": "_float16", "dynamic": "_dynamic", "int8": "_int8"}
CALIBRATION_IMAGES = 200
# Of the second kind of int8: what stays in float. 8 bits hold convolutions and matrix products; the squares and the
# quotients that iterative routing makes of small capsules they may not.
_ARITHMETIC = (
    "ADD", "DIV", "EXP", "LOG", "LOGISTIC", "MUL", "NEG", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "SUB", "SUM",
)  # fmt: skip


def convert(model, variant: str, calibration, float_arithmetic: bool = False) -> bytes:
    """Converts a network.

    Args:
        model: an `inference_model`.
        variant: of `VARIANTS`.
        calibration: (n, height, width, channels) float32 as the network sees them, for the ranges of int8.
        float_arithmetic: whether an int8 model keeps what is neither convolution nor matrix product in float.

    Returns:
        The .tflite file: signature "serving_default", input "images" (batch of any size), outputs "lengths" and, where
        the network has them, "capsules". Without "label", whose argmax is the client's to take.

    Raises:
        UserError: an operation is none of LiteRT's own.
    """
    spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="images")
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    module.score = tf.function(lambda images: model(images, training=False), autograph=False)
    # Of float convolutions LiteRT's own grouped one is the fastest; of 8-bit ones those that TensorFlow is given.
    with portable("tensorflow" if variant == "int8" else "litert"):
        function = module.score.get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    builtin = tf.lite.OpsSet.TFLITE_BUILTINS
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        builtin = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        converter.representative_dataset = lambda: ([image[None]] for image in calibration[:CALIBRATION_IMAGES])
        converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.target_spec.supported_ops = [builtin]  # no Flex: nothing of TensorFlow's own
    try:
        with _quiet():
            if not float_arithmetic:
                return converter.convert()
            debug = tf.lite.experimental
            options = debug.QuantizationDebugOptions(denylisted_ops=list(_ARITHMETIC))
            debugger = debug.QuantizationDebugger(
                converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
            )
            return debugger.get_nondebug_quantized_model()
    except Exception as error:  # ConverterError, and whatever the converter's C++ makes of a graph
        raise UserError(f"{model.name} cannot be converted to TFLite ({variant}): {error}", status=1) from None


@contextlib.contextmanager
def _quiet():
    """Without the converter's notes, which its C++ writes past Python."""
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
