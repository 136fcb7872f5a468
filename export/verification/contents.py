"""Inspection of the variables, graph nodes and operations in exported model files.

A check ensures that none belongs to training only.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from ...trainers.runs.errors import UserError

_CHECKPOINT_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_JITTED = ("_XlaMustCompile", "_XlaCompile", "jit_compile")


@dataclass(frozen=True)
class Contents:
    """The variables, graph nodes and operations in an exported model file.

    In a LiteRT model the nodes are its tensors.

    Attributes:
        variables: as the trained model names them.
        nodes: of all functions.
        operations: type -> count.
        jitted: names of nodes and functions that XLA must compile.
        inputs, outputs: of a SavedModel: signature -> name -> tensor's name in the graph.
        types: of a LiteRT model: the tensors' types.
    """

    variables: tuple[str, ...]
    nodes: tuple[str, ...]
    operations: Counter
    jitted: tuple[str, ...] = ()
    inputs: dict | None = None
    outputs: dict | None = None
    types: frozenset = frozenset()

    @classmethod
    def of_saved_model(cls, path: Path) -> "Contents":
        """Read the variables, graph nodes and operations in a SavedModel's files without running the model."""
        from tensorflow.core.protobuf import saved_model_pb2

        file = saved_model_pb2.SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
        (meta,) = file.meta_graphs
        functions = meta.graph_def.library.function
        nodes = [*meta.graph_def.node, *(node for function in functions for node in function.node_def)]
        jitted = [node.name for node in nodes if node.op.startswith("Xla") or _must_compile(node.attr)]
        jitted += [function.signature.name for function in functions if _must_compile(function.attr)]
        checkpoint_names = [name for name, _ in tf.train.list_variables(f"{path}/variables/variables")]
        signatures = {name: signature for name, signature in meta.signature_def.items() if not name.startswith("_")}
        return cls(
            variables=tuple(_keras_path(name) for name in checkpoint_names if name.endswith(_CHECKPOINT_SUFFIX)),
            nodes=tuple(node.name for node in nodes),
            operations=Counter(node.op for node in nodes),
            jitted=tuple(jitted),
            inputs={name: {key: tensor.name for key, tensor in s.inputs.items()} for name, s in signatures.items()},
            outputs={name: {key: tensor.name for key, tensor in s.outputs.items()} for name, s in signatures.items()},
        )

    @classmethod
    def of_lite(cls, path: Path) -> "Contents":
        """Read the tensors and operations in a TFLite file without running the model."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
        names_of = {
            kind: {value: name for name, value in vars(kind).items() if isinstance(value, int)}
            for kind in (schema.BuiltinOperator, schema.TensorType)
        }
        if custom := [code.customCode.decode() for code in model.operatorCodes if code.customCode]:
            raise UserError(
                f"{path} needs operations that LiteRT has not built in: {', '.join(custom)}.",
                status=1,
            )
        # Codes up to 127 are also in a deprecated field, in very old files only there.
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
        names = [names_of[schema.BuiltinOperator][code] for code in codes]
        tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
        operations = Counter(names[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators)
        return cls(
            variables=(),
            nodes=tuple(tensor.name.decode() for tensor in tensors),
            operations=operations,
            types=frozenset(names_of[schema.TensorType][tensor.type] for tensor in tensors),
        )

    def require_inference_only(self, artefact: str, layers: list[str]):
        """Raise UserError if an exported file contains training-only layers or functions that need XLA.

        Args:
            artefact: its name, for the message.
            layers: names of the trained model's feedback units and decoder.

        Raises:
            UserError: it does.
        """
        if layers:
            layer = re.compile(rf"(^|[/;:.])({'|'.join(map(re.escape, layers))})(_\d+)?($|[/;:.])")
            if leftovers := [name for name in (*self.variables, *self.nodes) if layer.search(name)]:
                raise UserError(
                    f"{artefact} still holds layers that only training needs: {', '.join(leftovers[:5])}.", status=1
                )
        if self.jitted:
            raise UserError(
                f"{artefact} holds functions that only XLA runs: {', '.join(self.jitted[:5])}. keras.layers.Conv2D "
                "with groups creates them; use encapnet_tf.layers.GroupedConv2D instead.",
                status=1,
            )

    def to_json(self) -> dict:
        """Return the variables, operation counts and tensor names of an exported file as a JSON-ready dictionary.

        It is for parity.json.
        """
        operations = {"operations": dict(sorted(self.operations.items()))}
        if not self.variables:
            return operations
        tensors = {"inputs": self.inputs, "outputs": self.outputs}
        return {"variables": list(self.variables), **operations, **tensors}


def _must_compile(attributes):
    return any(attributes[key].b or bool(attributes[key].s) for key in _JITTED if key in attributes)


def _keras_path(checkpoint_name):
    """Convert a variable's name in a TensorFlow checkpoint to the variable's path in Keras.

    For instance, weights/stem.Skernel/.ATTRIBUTES/VARIABLE_VALUE is stem/kernel.
    """
    return (
        checkpoint_name.removeprefix("weights/").removesuffix(_CHECKPOINT_SUFFIX).replace(".S", "/").replace("..", ".")
    )
