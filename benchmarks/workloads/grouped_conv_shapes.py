"""Shapes of the grouped convolutions in EncapNet-18.

Every capsule is a group.
"""

from dataclasses import asdict, dataclass

DIMS = (1, 2, 4, 8, 16)  # capsule_dim before the first module, then of each module
SIZES = (32, 32, 16, 8, 4)  # pixels a side before the first module, then of each module
TYPE2 = 3  # type II layers of a module
COEFFICIENTS = 2 * (TYPE2 + 1)  # m1 and m2 of each capConv layer


@dataclass(frozen=True)
class Shape:
    """Shape of a convolution layer in EncapNet-18, and the number of layers that have this shape.

    Attributes:
        role: its place in the network.
        size: input pixels a side.
        dim_in, dim_out: components of a capsule.
        kernel, strides: of the convolution.
        count: how often it occurs in `EncapNet18(feedback="two")`.
        transposed: whether it is a transposed convolution from `size` to twice that.
    """

    role: str
    size: int
    dim_in: int
    dim_out: int
    kernel: int
    strides: int
    count: int
    transposed: bool = False

    def __str__(self):
        stride = f" s{self.strides}" if self.strides > 1 else ""
        stride = " transposed s2" if self.transposed else stride
        return f"{self.size}, {self.dim_in}->{self.dim_out}, k{self.kernel}{stride}"

    @property
    def output_size(self) -> int:
        return self.size * 2 if self.transposed else self.size // self.strides

    def as_arguments(self):
        return asdict(self)

    def values(self, groups, batch):
        """Return the numbers of elements in this convolution's input and output for one batch."""
        x = batch * self.size**2 * groups * self.dim_in
        return x, batch * self.output_size**2 * groups * self.dim_out

    def flops(self, groups, batch):
        """Return the number of floating-point operations in this convolution's forward pass for one batch.

        A multiply-add is two.

        A transposed convolution counts a quarter of its products; the others are with inserted zeros.
        """
        pixels = self.size**2 if self.transposed else self.output_size**2
        return 2 * batch * pixels * self.kernel**2 * groups * self.dim_in * self.dim_out


def shapes():
    """Return the shapes of all grouped convolutions in EncapNet-18.

    The feedback units are "two". Mappings come first.
    """
    mapping, coefficients, generators = [], [], []
    for below, here in zip(range(4), range(1, 5), strict=True):
        size, dim = SIZES[here], DIMS[here]
        strides = SIZES[below] // size
        mapping += [
            Shape("mapping, type I", SIZES[below], DIMS[below], dim, 3, strides, 1),
            Shape("mapping, type II", size, dim, dim, 1, 1, TYPE2),
        ]
        coefficients += [
            Shape('coefficient, "both"', size, 2 * dim, 1, 3, 1, COEFFICIENTS),
            Shape('coefficient, "own" or "cross"', size, dim, 1, 3, 1, 0),
        ]
        generators += [
            Shape('generator, "half"', size, dim, DIMS[below], 3, 1, 1, transposed=strides == 2),
            Shape('generator, "same"', size, dim, dim, 3, 1, 1),
        ]
    return mapping + coefficients + generators
