"""Conversion of Keras networks to TFLite files that use only LiteRT's built-in operations."""

import contextlib
import os
import warnings

import keras
import tensorflow as tf

from encapnet_tf.ops.acceleration import portable

from ...trainers.runs.errors import UserError

CALIBRATION_IMAGES = 200
# Operations that int8 with `float_arithmetic` computes in float. 8 bits are enough for convolutions and matrix
# products, but may not be for the squares and quotients of small capsules in iterative routing.
_ARITHMETIC = (
    "ADD", "DIV", "EXP", "LOG", "LOGISTIC", "MUL", "NEG", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "SUB", "SUM",
)  # fmt: skip


def convert(model: keras.Model, variant: str, calibration, float_arithmetic: bool = False) -> bytes:
    """Convert a Keras model to TFLite format and return the result as bytes.

    Args:
        model: an `inference_model`.
        variant: of `variants.VARIANTS`.
        calibration: (n, height, width, channels) float32 preprocessed, for the ranges of int8.
        float_arithmetic: whether an int8 model computes all but convolutions and matrix products in float.

    Returns:
        The .tflite file: signature "serving_default", input "images" (batch of any size), outputs "lengths" and, where
        the network has them, "capsules". It has no output "label", whose argmax would need a Flex operation.

    Raises:
        UserError: the network needs an operation that LiteRT has not built in.
    """
    spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="images")
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    module.score = tf.function(lambda images: model(images, training=False), autograph=False)
    # In float LiteRT's own grouped convolution is the fastest; in 8 bits the lowering for TensorFlow is.
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
    converter.target_spec.supported_ops = [builtin]  # no Flex: TensorFlow's own operations are refused
    try:
        with _silence_stderr():
            if not float_arithmetic:
                return converter.convert()
            debug = tf.lite.experimental
            options = debug.QuantizationDebugOptions(denylisted_ops=list(_ARITHMETIC))
            debugger = debug.QuantizationDebugger(
                converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
            )
            return debugger.get_nondebug_quantized_model()
    except Exception as error:  # ConverterError, and various errors of the converter's C++ code
        raise UserError(f"{model.name} cannot be converted to TFLite ({variant}): {error}", status=1) from None


@contextlib.contextmanager
def _silence_stderr():
    """Suppress Python warnings and everything that Python or C++ code writes to standard error.

    The converter's C++ code writes its notes directly to file descriptor 2.
    """
    with open(os.devnull, "w") as devnull, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stderr = os.dup(2)
        try:
            os.dup2(devnull.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
