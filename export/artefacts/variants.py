"""Names of the TFLite variants that an export can contain, such as float16.

This module does not import TensorFlow.
"""

# Variant -> suffix of its file's name. "dynamic": 8-bit weights, float arithmetic; "int8": all in 8-bit integers.
VARIANTS = {"float32": "", "float16": "_float16", "dynamic": "_dynamic", "int8": "_int8"}
