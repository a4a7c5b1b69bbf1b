"""The page: a canvas or an image upload, and the output of the network next to it."""

import base64
import binascii
import html
import io
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from lenet.data.images.files import error_reason
from lenet.demo import markup
from lenet.demo.examples import CANVAS_SIZE, PEN_WIDTH, draw_digits, first_test_images
from lenet.demo.reader import Reader
from lenet.errors import UserError

__all__ = ["Page"]

NUM_EXAMPLES = 12
HERE = Path(__file__).parent
CANVAS = f"""
<div class="pad">
  <canvas
    width="{CANVAS_SIZE}" height="{CANVAS_SIZE}" data-ink="{PEN_WIDTH}" aria-label="canvas"
  ></canvas>
  <button class="clear">Clear</button>
  <div class="examples">${{examples}}</div>
</div>
"""


class Page:
    """The page of a trained network.

    Args:
        reader: Predicts images with the network.
        checkpoint: File that the network was loaded from.
    """

    def __init__(self, reader: Reader, checkpoint: Path | None):
        self.reader = reader
        self.data = reader.data
        self.is_drawn = self.data.handwriting is not None
        self.invitation = self._invite()
        names = type(reader.model).__name__, type(self.data).__name__
        self.run = markup.about_run(*names, checkpoint)
        self.title = f"lenet: {names[0]} on {names[1]}"

    def _invite(self) -> str:
        classes = self.data.classes
        if self.is_drawn:
            what = "digit" if classes == tuple("0123456789") else "character"
            return f"Draw a {what}. It is recognized while you draw."
        return f"Upload an image. It is classified into one of {len(classes)} classes."

    def answer(self, image: Image.Image | None) -> tuple[str, str]:
        """Return the two parts of the page that change: the probabilities and the layers."""
        classes = self.data.classes
        if image is None:
            return markup.bars(classes, None, "?"), markup.layers(None)
        try:
            answer = self.reader.read(image)
        except UserError as e:
            return markup.bars(classes, None, f"{e}"), markup.layers(None)
        return markup.bars(classes, answer.probabilities), markup.layers(answer)

    def answer_drawing(self, drawing: str | None) -> tuple[str, str]:
        """Return the answer for the canvas, given as a data URL of a PNG, or None if empty."""
        return self.answer(decode_png(drawing) if drawing else None)

    def answer_file(self, file: str | None) -> tuple[str, str]:
        """Return the answer for an uploaded file, if there is a file."""
        if file is None:
            return self.answer(None)
        try:
            with Image.open(file) as image:
                return self.answer(image)
        except Exception as e:  # the type depends on the format and the damage
            message = f"cannot be read: {error_reason(e)}"
            return markup.bars(self.data.classes, None, message), markup.layers(None)

    def build(self) -> gr.Blocks:
        """Build the page."""
        with gr.Blocks(title=self.title, analytics_enabled=False, fill_width=True) as page:
            gr.HTML(
                f'<div class="head"><h1>{html.escape(self.invitation)}</h1>'
                f'<p class="run">{self.run}</p></div>'
            )
            bars, layers = self.answer(None)
            with gr.Row():
                with gr.Column(scale=0, min_width=282):
                    image, answer = self._canvas() if self.is_drawn else self._photo()
                with gr.Column(scale=1):
                    bars_html = gr.HTML(bars, elem_id="answer")
            layers_html = gr.HTML(layers, elem_id="layers")
            # While one drawing is processed, only the latest of the following ones is kept.
            image.change(
                answer,
                image,
                [bars_html, layers_html],
                show_progress="hidden",
                trigger_mode="always_last",
                queue=False,
            )
        return page

    def _canvas(self) -> tuple[Any, Any]:
        digits = self.data.classes == tuple("0123456789")
        examples = draw_digits() if digits else []
        examples += first_test_images(self.data, NUM_EXAMPLES - len(examples))
        canvas = gr.HTML(
            value="",
            html_template=CANVAS,
            js_on_load=(HERE / "canvas.js").read_text("utf-8"),
            examples=markup.thumbnails(examples),
            elem_id="canvas",
        )
        return canvas, self.answer_drawing

    def _photo(self) -> tuple[Any, Any]:
        photo = gr.Image(
            type="filepath", sources=["upload", "clipboard"], height=280, width=280, label="Image"
        )
        examples = first_test_images(self.data, NUM_EXAMPLES)
        if examples:
            images = [[np.asarray(example.image)] for example in examples]
            gr.Examples(images, photo, examples_per_page=NUM_EXAMPLES, label="Test images")
        return photo, self.answer_file


def decode_png(drawing: str) -> Image.Image | None:
    """Return the image in a data URL of a canvas, or None if it is anything else."""
    try:
        file = io.BytesIO(base64.b64decode(drawing.partition(",")[2], validate=True))
        return Image.open(file, formats=["PNG"]).convert("L")
    except (binascii.Error, OSError, ValueError):
        return None
