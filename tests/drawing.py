"""Digits drawn by hand: strokes of several forms, pens, places and papers, all by a seed.

Nothing in here is of a font or a data set. A form is its strokes, with | between, and a stroke is
the points that a smooth line goes through: x and y in hundredths of the height, y downwards. A
corner is a point that is there twice.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FORMS = {
    0: [
        "50,0 22,20 18,60 42,100 74,80 78,30 50,0",
        "60,3 30,15 20,60 45,98 75,60 70,15 50,3",
    ],
    1: [
        "50,0 50,50 50,100",
        "36,22 54,0 54,0 53,50 52,100",
    ],
    2: [
        "20,25 35,3 65,5 73,30 50,65 18,97 18,97 50,97 82,95",
        "22,18 45,0 70,15 62,50 30,92 17,82 35,78 60,96 85,90",
    ],
    3: [
        "22,12 45,0 70,15 62,40 40,47 40,47 70,58 75,82 50,100 20,88",
        "25,2 50,2 75,2 75,2 45,40 45,40 72,50 76,80 50,100 22,92",
    ],
    4: [
        "30,2 22,35 20,58 20,58 50,57 85,55 | 66,10 64,50 62,100",
        "62,100 62,50 62,0 62,0 40,35 15,66 15,66 50,66 85,65",
    ],
    5: [
        "34,3 31,25 29,45 29,45 55,40 75,62 65,92 40,100 18,90 | 34,3 55,4 78,2",
        "78,2 55,3 33,4 33,4 28,45 28,45 60,42 76,68 55,98 20,92",
    ],
    6: [
        "66,2 40,20 24,60 30,90 52,100 74,82 66,58 45,55 27,75",
        "45,0 30,35 25,75 45,100 70,85 62,62 42,60 27,80",
    ],
    7: [
        "18,6 50,4 80,3 80,3 58,45 42,100",
        "18,6 50,4 80,3 80,3 58,45 42,100 | 36,50 55,48 76,47",
    ],
    8: [
        "70,12 45,0 27,20 45,45 70,68 65,95 40,98 25,75 50,47 72,25 68,10",
        "50,0 28,12 32,38 50,46 70,36 70,10 50,0 | 50,46 24,65 30,95 55,100 77,80 70,55 50,46",
    ],
    9: [
        "70,15 48,0 26,20 32,46 55,46 71,15 71,15 70,50 66,100",
        "70,20 45,2 25,25 40,48 66,38 72,18 72,50 62,85 32,98",
    ],
}
# The width of the line, as a part of the digit's height.
PENS = {"thin": 0.025, "pen": 0.07, "thick": 0.16, "soft": 0.1, "pencil": 0.05}
PAPERS = ("white", "gray", "dark", "gradient", "shadow", "grain", "dusty", "colored")


@dataclass
class Drawing:
    """A picture of a digit, and what it was drawn with and on."""

    image: Image.Image
    digit: int
    pen: str
    paper: str


def draw(digit: int, pen: str, paper: str, rng: np.random.Generator) -> Drawing:
    """Draw a digit in one of its forms, anywhere, on a sheet of any size."""
    sheet = rng.integers(90, 640, 2)
    height = rng.uniform(0.3, 0.8) * sheet.min()
    ink = _ink(digit, PENS[pen] * height, height, rng, tuple(int(side) for side in sheet))
    if pen == "soft":
        ink = ink.filter(ImageFilter.GaussianBlur(0.04 * float(height)))
    ink = np.asarray(ink, dtype=float) / 255
    if pen == "pencil":
        ink = ink * rng.uniform(0.5, 1.0, ink.shape)
    return Drawing(_on_paper(ink, paper, rng), digit, pen, paper)


def draw_all(seed: int, per_pair: int = 1) -> list[Drawing]:
    """Draw every digit with every pen on every paper."""
    rng = np.random.default_rng(seed)
    return [
        draw(digit, pen, paper, rng)
        for digit in FORMS
        for pen in PENS
        for paper in PAPERS
        for _ in range(per_pair)
    ]


def blank(paper: str, rng: np.random.Generator) -> Image.Image:
    """Draw nothing on a sheet of any size."""
    return _on_paper(np.zeros(rng.integers(90, 640, 2)), paper, rng)


def _ink(digit: int, width: float, height: float, rng: np.random.Generator, sheet: tuple) -> Image:
    """Draw the lines, with a hand that is not steady: white on black, smoothed at the edges."""
    form = FORMS[digit][rng.integers(len(FORMS[digit]))]
    strokes = [
        np.array([point.split(",") for point in stroke.split()], dtype=float) / 100
        for stroke in form.split("|")
    ]
    slant, turn = rng.uniform(-0.08, 0.25), np.radians(rng.uniform(-8, 8))
    wide = rng.uniform(0.75, 1.05)
    move = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    move = move @ np.array([[wide, -slant], [0.0, 1.0]]) * height
    margin = 0.08 * min(sheet) + width / 2
    room = np.array([sheet[1], sheet[0]]) - 2 * margin
    shaken = [_smooth(s, s + rng.normal(0, 0.012, s.shape)) for s in strokes]
    lines = [(line - 0.5) @ move.T for line in shaken]
    every = np.concatenate(lines)
    low, high = every.min(0), every.max(0)
    shrink = min(1.0, *(room / np.maximum(high - low, 1)))
    place = margin + rng.uniform(0, 1, 2) * np.maximum(room - shrink * (high - low), 0)
    image = Image.new("L", (2 * sheet[1], 2 * sheet[0]))  # drawn at twice its size
    pen = ImageDraw.Draw(image)
    for line in lines:
        points = 2 * (place + shrink * (line - low))
        radius = max(width * shrink, 1.0)
        for (x, y), (u, v) in pairwise(points):
            steps = int(np.hypot(u - x, v - y) / max(radius / 4, 0.5)) + 1
            for t in np.linspace(0, 1, steps + 1):
                a, b = x + t * (u - x), y + t * (v - y)
                pen.ellipse((a - radius, b - radius, a + radius, b + radius), fill=255)
    return image.resize((sheet[1], sheet[0]), Image.Resampling.BOX)


def _smooth(stroke: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Lead a smooth line through points (Catmull-Rom), with a corner where the stroke has one."""
    corners = np.flatnonzero((stroke[1:] == stroke[:-1]).all(1)) + 1
    parts, start = [], 0
    for end in [*corners, len(points)]:
        part = points[start:end]
        if parts:
            part = np.concatenate([parts[-1][-1:], part[1:]])  # the shaking hand stays on the line
        ends = np.concatenate([2 * part[:1] - part[1:2], part, 2 * part[-1:] - part[-2:-1]])
        t = np.linspace(0, 1, 16)[:, None]
        for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
            cubic = (3 * b - a - 3 * c + d) * t**3 + (2 * a - 5 * b + 4 * c - d) * t**2
            parts.append(0.5 * (cubic + (c - a) * t + 2 * b))
        start = end
    return np.concatenate(parts)


def _on_paper(ink: np.ndarray, paper: str, rng: np.random.Generator) -> Image.Image:
    rows, columns = (np.linspace(0, 1, side) for side in ink.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    light = np.ones_like(ink)
    sheet, pen = 0.97, rng.uniform(0.05, 0.35)
    noise = 0.01
    if paper == "gray":
        sheet, pen = 0.6, rng.uniform(0.2, 0.4)
    elif paper == "dark":
        sheet, pen = rng.uniform(0.05, 0.25), rng.uniform(0.6, 0.95)
    elif paper == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        slope = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
        light = 0.65 + 0.45 * slope
    elif paper == "shadow":
        angle = rng.uniform(0, 2 * np.pi)
        far = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) - rng.uniform(-0.2, 0.2)
        light = 0.45 + 0.5 / (1 + np.exp(-far * rng.uniform(8, 60)))
    elif paper == "grain":
        noise = 0.08
    image = light * (sheet + (pen - sheet) * ink) + rng.normal(0, noise, ink.shape)
    if paper == "dusty":
        for _ in range(12):
            radius = rng.uniform(0.002, 0.008) * min(ink.shape)
            i, j = rng.uniform(0, 1, 2)
            spot = ((y - i) * ink.shape[0]) ** 2 + ((x - j) * ink.shape[1]) ** 2 < max(
                radius, 1
            ) ** 2
            image[spot] = rng.uniform(0.1, 0.6)
    gray = Image.fromarray((255 * image.clip(0, 1)).round().astype(np.uint8))
    if paper != "colored":
        return gray
    red, green, blue = (rng.uniform(0.7, 1.0), 1.0, rng.uniform(0.6, 0.9))
    tints = [gray.point(lambda v, t=t: v * t) for t in (red, green, blue)]
    return Image.merge("RGB", tints)
