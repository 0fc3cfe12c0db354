"""Bodies that are no plain head: chest, abdomen, hip, knee, spine, face, cone beam, vessels.

Made of ellipses with the densities and sizes of textbooks, and noise; a head with a contrast agent
is a real plain one whose sinuses, large arteries and choroid plexus are filled.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from worker.look.section import look_at
from worker.volume import Volume

SIDE, SLICES, STEP_MM = 256, 24, 5.0
AIR, FAT, MUSCLE, WATER, LIVER, LUNG, BONE, MARROW = -1000, -100, 55, 5, 60, -850, 900, 250
Slice = npt.NDArray[np.float32]


class Canvas:
    """One slice to paint on, in mm from its middle; later shapes cover earlier ones."""

    def __init__(self, width_mm: float) -> None:
        self.pixel_mm = width_mm / SIDE
        axis = (np.arange(SIDE) - (SIDE - 1) / 2) * self.pixel_mm
        self.y, self.x = np.meshgrid(axis, axis, indexing="ij")
        self.hu = np.full((SIDE, SIDE), AIR, np.float32)

    def ellipse(self, hu: float, at: tuple[float, float], radii: tuple[float, float]) -> None:
        """Fill an ellipse around (x, y)."""
        inside = ((self.x - at[0]) / radii[0]) ** 2 + ((self.y - at[1]) / radii[1]) ** 2 < 1
        self.hu[inside] = hu

    def bone(self, at: tuple[float, float], radii: tuple[float, float], wall_mm: float = 3) -> None:
        """Draw a bone with its marrow."""
        self.ellipse(BONE, at, radii)
        self.ellipse(MARROW, at, (max(1.0, radii[0] - wall_mm), max(1.0, radii[1] - wall_mm)))

    def vertebra(self, at: tuple[float, float], size: float = 1.0) -> None:
        """Draw a vertebra with the spinal canal behind its body."""
        x, y = at
        self.bone((x, y), (20 * size, 15 * size))
        self.ellipse(BONE, (x, y + 24 * size), (14 * size, 13 * size))
        self.ellipse(35, (x, y + 23 * size), (10 * size, 8 * size))
        self.ellipse(BONE, (x, y + 45 * size), (4 * size, 12 * size))


def chest(index: int) -> Canvas:
    """Lungs, heart, a spine and ribs all round."""
    canvas = Canvas(400)
    canvas.ellipse(FAT, (0, 0), (180, 125))
    canvas.ellipse(MUSCLE, (0, 0), (165, 110))
    _ribs(canvas, index, (160, 105))
    for side in (-1, 1):
        canvas.ellipse(LUNG, (side * 75, -5), (65, 85))
    canvas.ellipse(45, (15, -25), (50, 45))
    canvas.vertebra((0, 65))
    return canvas


def _ribs(canvas: Canvas, index: int, radii: tuple[float, float]) -> None:
    for angle in np.arange(0, 2 * np.pi, np.pi / 8) + index * 0.07:
        canvas.bone((radii[0] * np.cos(angle), radii[1] * np.sin(angle)), (14, 7))


def abdomen(index: int) -> Canvas:
    """Liver, spleen, kidneys and bowel with gas in fat; lower ribs."""
    canvas = Canvas(380)
    canvas.ellipse(FAT, (0, 0), (170, 120))
    canvas.ellipse(MUSCLE, (0, 0), (150, 100))
    canvas.ellipse(FAT, (0, -5), (138, 88))
    canvas.ellipse(LIVER, (-70, -15), (62, 62))
    canvas.ellipse(50, (85, 15), (35, 40))
    for side in (-1, 1):
        canvas.ellipse(32, (side * 60, 45), (25, 28))
    for at in ((20, -45), (55, -35), (0, -10 + index)):
        canvas.ellipse(30, at, (22, 16))
        canvas.ellipse(AIR, at, (10, 6))
    _ribs(canvas, index, (145, 95))
    canvas.vertebra((0, 60))
    return canvas


def hip(index: int) -> Canvas:
    """Femoral heads in their sockets, sacrum, bladder."""
    canvas = Canvas(420)
    canvas.ellipse(FAT, (0, 0), (190, 120))
    canvas.ellipse(MUSCLE, (0, 0), (170, 100))
    canvas.ellipse(FAT, (0, -10), (80, 60))
    canvas.ellipse(WATER, (0, -25), (40, 30))
    canvas.ellipse(35, (0, 30), (25, 20))
    for side in (-1, 1):
        canvas.bone((side * 110, 0), (45, 50), 5)
        canvas.ellipse(MUSCLE, (side * 118, 0), (30, 32))
        canvas.bone((side * 118, 0), (25, 25))
    canvas.bone((0, 75 - index), (45, 14))
    return canvas


def knee(index: int) -> Canvas:
    """Two knees: femur or tibia with a patella, in muscle and fat."""
    canvas = Canvas(360)
    for side in (-1, 1):
        canvas.ellipse(FAT, (side * 80, 0), (65, 68))
        canvas.ellipse(MUSCLE, (side * 80, 0), (55, 58))
        canvas.bone((side * 80, -5), (38 + index / 3, 30))
        canvas.bone((side * 80, -48), (18, 9))
    return canvas


def spine(index: int) -> Canvas:
    """Reconstruct a lumbar spine in a small field of view."""
    canvas = Canvas(160)
    canvas.ellipse(MUSCLE, (0, 0), (400, 400))
    canvas.ellipse(FAT, (30, -60), (30, 18))
    canvas.vertebra((0, -10 + index / 4), 1.2)
    return canvas


def neck(index: int) -> Canvas:
    """A neck with its airway, jaw and vertebra."""
    canvas = Canvas(250)
    canvas.ellipse(FAT, (0, 0), (72, 78))
    canvas.ellipse(MUSCLE, (0, 0), (66, 72))
    canvas.ellipse(AIR, (0, -30), (9, 8))
    canvas.vertebra((0, 12), 0.7)
    for angle in np.linspace(np.pi * 1.1, np.pi * 1.9, 40):
        canvas.ellipse(BONE, (50 * np.cos(angle), -10 + (50 + index / 6) * np.sin(angle)), (5, 5))
    return canvas


def face(index: int) -> Canvas:
    """Facial bones: sinuses with air, orbits with fat, teeth, no brain."""
    canvas = Canvas(220)
    canvas.ellipse(FAT, (0, 0), (75, 90))
    canvas.ellipse(MUSCLE, (0, 5), (68, 80))
    for side in (-1, 1):
        canvas.bone((side * 38, -40), (24, 22), 2)
        canvas.ellipse(AIR if index < 12 else FAT, (side * 38, -40), (21, 19))
        canvas.bone((side * 62, -5), (6, 30))
    canvas.bone((0, -45), (13, 35), 2)
    canvas.ellipse(AIR, (0, -45), (10, 30))
    canvas.ellipse(AIR, (0, 5), (16, 12))
    canvas.vertebra((0, 45), 0.7)
    return canvas


def cone_beam(index: int) -> Canvas:
    """Show a head as the C-arm of an angio suite does: cut by the field of view, no real HU."""
    canvas = Canvas(230)
    canvas.ellipse(200, (0, 0), (95, 115))
    canvas.ellipse(1600, (0, 0), (88, 108))
    canvas.ellipse(170, (0, 0), (80, 100))
    cupping = 90 * (np.hypot(canvas.x, canvas.y) / 100) ** 2
    canvas.hu = np.where(canvas.hu > AIR, canvas.hu + cupping, canvas.hu).astype(np.float32)
    canvas.hu[np.hypot(canvas.x, canvas.y) > 105 - index / 4] = -1024
    return canvas


def dental_cone_beam(index: int) -> Canvas:
    """Reconstruct a jaw in a small cylinder."""
    canvas = face(index)
    canvas.hu[np.hypot(canvas.x, canvas.y + 40) > 55] = -1024
    return canvas


def nothing(index: int) -> Canvas:
    """Show a table alone."""
    canvas = Canvas(250)
    canvas.ellipse(-150, (0, 100 + index / 10), (90, 8))
    return canvas


STRANGERS: Mapping[str, Callable[[int], Canvas]] = {
    body.__name__: body
    for body in (
        chest, abdomen, hip, knee, spine, neck, face, cone_beam, dental_cone_beam, nothing,
    )
}  # fmt: skip


def body(paint: Callable[[int], Canvas], noise_hu: float = 12.0) -> Volume:
    """Make a series of a body, with noise."""
    rng = np.random.default_rng(7)
    canvases = [paint(index) for index in range(SLICES)]
    hu = np.stack([canvas.hu for canvas in canvases])
    noisy = np.clip(hu + rng.normal(0, noise_hu, hu.shape), -1024, 3071).astype(np.float32)
    places = np.arange(SLICES) * STEP_MM
    return Volume(noisy, places, (canvases[0].pixel_mm,) * 2)


def enhanced(head: Volume, vessel_hu: float) -> Volume:
    """Fill the vessels of a plain head: arteries and sinuses that run upwards, choroid plexus.

    350 HU is an angiography, 140 the venous phase of a routine scan.
    """
    hu = head.hu.copy()
    rng = np.random.default_rng(3)
    for frame in hu:
        section = look_at(frame, head.spacing_mm)
        if section.brain_cm2 >= 20:
            _fill_vessels(frame, section.brain, vessel_hu, rng)
    return replace(head, hu=hu)


def _fill_vessels(
    frame: npt.NDArray[np.float32],
    brain: npt.NDArray[np.bool_],
    hu: float,
    rng: np.random.Generator,
) -> None:
    """Paint what one section of the vault cuts, by the brain's own width and depth."""
    rows, columns = np.nonzero(brain)
    middle, depth, width = columns.mean(), np.ptp(rows), np.ptp(columns)
    front, back = rows.min(), rows.max()
    jitter = rng.uniform(-2, 2, (9, 2))
    spots = [
        (middle, back - 3, 4.0),  # superior sagittal sinus
        (middle, front + 0.25 * depth, 1.5),  # anterior cerebral arteries
        (middle, back - 0.3 * depth, 2.5),  # straight sinus or internal cerebral veins
        *((middle + side * 0.3 * width, front + 0.42 * depth, 1.6) for side in (-1, 1)),  # sylvian
        *((middle + side * 0.18 * width, back - 0.33 * depth, 2.2) for side in (-1, 1)),  # choroid
        *((middle + side * 0.38 * width, front + 0.6 * depth, 1.3) for side in (-1, 1)),  # cortical
    ]
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    per_row, per_column = (n / m for n, m in zip(frame.shape, brain.shape, strict=True))
    for (column, row, radius), (dx, dy) in zip(spots, jitter, strict=True):
        away = np.hypot((x / per_column) - column - dx, (y / per_row) - row - dy)
        frame[away < radius] = np.maximum(frame[away < radius], hu + rng.normal(0, 8))
