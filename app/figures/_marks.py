"""The eight markers as corner points, the same as the page's sprites. A circle has none."""

import math

Points = tuple[tuple[float, float], ...]


def _star(corners: int, inner: float) -> Points:
    return tuple(
        (
            round(math.sin(math.pi * i / corners) * (1 if i % 2 == 0 else inner), 4),
            round(-math.cos(math.pi * i / corners) * (1 if i % 2 == 0 else inner), 4),
        )
        for i in range(2 * corners)
    )


def _polygon(corners: int) -> Points:
    return tuple(
        (round(math.sin(2 * math.pi * i / corners), 4), round(-math.cos(2 * math.pi * i / corners), 4))
        for i in range(corners)
    )


# In a square from -1 to 1.
CORNERS: dict[str, Points] = {
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "triangle": ((0, -1), (1, 0.8), (-1, 0.8)),
    "down": ((0, 1), (1, -0.8), (-1, -0.8)),
    "diamond": ((0, -1.1), (1.1, 0), (0, 1.1), (-1.1, 0)),
    "pentagon": _polygon(5),
    "plus": (
        (-0.35, -1), (0.35, -1), (0.35, -0.35), (1, -0.35), (1, 0.35), (0.35, 0.35),
        (0.35, 1), (-0.35, 1), (-0.35, 0.35), (-1, 0.35), (-1, -0.35), (-0.35, -0.35),
    ),
    "star": _star(5, 0.45),
}  # fmt: skip


def corners(shape: str, x: float, y: float, size: float) -> Points | None:
    """The marker's corners around (x, y); None for a circle."""
    found = CORNERS.get(shape)
    return found and tuple((x + size / 2 * dx, y + size / 2 * dy) for dx, dy in found)
