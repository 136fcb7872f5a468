"""Reference of the plain solver: Eqs. 7 to 11 step for step in NumPy, as golden/README.md states them.

All functions are holomorphic, so that an imaginary step of 1e-30 gives their derivatives to the last digit, through all
the iterations.
"""

import numpy as np


def cost_matrix(x, y, cost, same=False):
    if cost == "cosine":
        x, y = (points / np.sqrt(np.sum(points**2, axis=1, keepdims=True)) for points in (x, y))
        matrix = 1 - x @ y.T
    else:
        matrix = np.sum((x[:, None] - y[None]) ** 2, axis=-1)
        if same:
            np.fill_diagonal(matrix, 1)  # the root has no derivative at 0
        matrix = np.sqrt(matrix) if cost == "euclidean" else matrix
    if same:
        np.fill_diagonal(matrix, 0)
    return matrix


def plan(matrix, epsilon, steps):
    """b = 1/B; then `steps` times a = (1/B) / (K b), b = (1/B) / (K' a)."""
    kernel = np.exp(-matrix / epsilon)
    b = np.full(len(matrix), 1 / len(matrix))
    for _ in range(steps):
        a = 1 / len(matrix) / (kernel @ b)
        b = 1 / len(matrix) / (kernel.T @ a)
    return a[:, None] * kernel * b[None]


def transport(matrix, epsilon, steps, fixed=None):
    """<P, Q>; with `fixed`, under a plan that does not move."""
    return np.sum((plan(matrix, epsilon, steps) if fixed is None else fixed) * matrix)


def divergence(x, y, epsilon, steps, cost, debias=True, differentiate_plan=True):
    pairs = [(2 if debias else 1, x, y, False)] + ([(-1, x, x, True), (-1, y, y, True)] if debias else [])
    total = 0
    for factor, one, other, same in pairs:
        matrix = cost_matrix(one, other, cost, same)
        fixed = None if differentiate_plan else plan(matrix.real, epsilon, steps)
        total = total + factor * transport(matrix, epsilon, steps, fixed)
    return total


def gradients(x, y, *arguments, **options):
    """d divergence / dx and / dy, component by component, by complex steps."""
    stacked = np.stack([x, y]).astype(complex)
    result = np.zeros(stacked.shape)
    for index in np.ndindex(stacked.shape):
        shifted = stacked.copy()
        shifted[index] += 1e-30j
        result[index] = divergence(*shifted, *arguments, **options).imag / 1e-30
    return result
