"""The page to draw on: what it answers, how it is served, and all of it in a browser."""

import shutil
import socket
import sys

import pytest
import torch
from PIL import Image

import lenet as package
from lenet.data import ImageDataModule
from lenet.demo.examples import draw_digits, first_test_images
from lenet.demo.markup import about_run, bars, layers, source
from lenet.demo.reader import Reader
from lenet.demo.server import FIRST_PORT, free_port
from lenet.errors import UserError
from tests.browser import CHROMIUM, SEVEN, THREE, Server, draw, opened, wait_for_answer
from tests.conftest import REAL_MNIST
from tests.small import DATA

HIDDEN = ["--open_browser", "false", "--trainer.fast_dev_run", "true", "--port", "0"]


@pytest.fixture
def reader() -> Reader:
    return Reader(package.LeNet(), package.MNIST())


@pytest.fixture
def page(reader):
    pytest.importorskip("gradio", reason="needs lenet[demo]")
    from lenet.demo.page import Page

    return Page(reader, None)


# What is answered


def test_a_drawing_is_answered_with_what_the_model_says_of_it_prepared_as_predict_does(reader):
    image = draw_digits()[0].image
    answer = reader.read(image)
    data, model = reader.data, reader.model
    images = data.to_size(data.prepare_image(image).unsqueeze(0))
    with torch.no_grad():
        expected = model(data.normalize(images)).softmax(dim=1)[0]
    torch.testing.assert_close(answer.probabilities, expected)
    assert answer.seen.shape == (1, 32, 32)
    assert [stage.name for stage in answer.layers] == ["c1", "s2", "c3", "s4", "c5", "f6"]
    assert 'alt="c3"' in layers(answer)
    assert "16@10x10" in layers(answer)


def test_an_empty_canvas_is_no_digit(page, reader):
    black = source(Image.new("RGBA", (280, 280), "black"))
    for drawing in (None, "", "data:image/png;base64,AAAA", "<b>", black):
        shown, seen = page.answer_drawing(drawing)
        assert "%<" not in shown
        assert "<img" not in seen
    assert "nothing is drawn" in page.answer_drawing(black)[0]
    with pytest.raises(UserError, match="nothing is drawn"):
        reader.read(Image.new("L", (280, 280)))


def test_a_file_that_is_no_image_has_an_answer_that_says_so(page, tmp_path):
    image, text = tmp_path / "a.png", tmp_path / "b.png"
    draw_digits()[0].image.save(image)
    text.write_text("x")
    assert page.answer_file(str(image)) == page.answer(draw_digits()[0].image)
    said, seen = page.answer_file(str(text))
    assert "cannot be read: not an image" in said
    assert "<img" not in seen


def test_of_many_classes_the_ten_most_probable_are_shown_and_names_are_escaped():
    names = [f"<i>{i}" for i in range(26)]
    shown = bars(names, torch.arange(26.0).softmax(dim=0))
    assert shown.count("<li") == 10
    assert "&lt;i&gt;25" in shown
    assert "<i>25" not in shown
    assert "&lt;i&gt;15" not in shown


def test_the_accuracy_is_that_of_the_checkpoint_shown(tmp_path):
    (tmp_path / "test.json").write_text('{"checkpoint": "/old/best.ckpt", "test/accuracy": 0.9931}')
    best, last = (tmp_path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    assert "test accuracy 99.31%" in about_run("LeNet", "MNIST", best)
    assert "not tested yet" in about_run("LeNet", "MNIST", last)


def test_test_images_are_tried_where_they_are_at_hand_and_never_downloaded(small, monkeypatch):
    monkeypatch.setattr(ImageDataModule, "prepare_data", lambda self: pytest.fail("a download"))
    assert first_test_images(package.MNIST(), 12) == []
    small("MNIST")
    examples = first_test_images(package.MNIST(), 8)
    assert [example.name for example in examples] == [f"test image {i}: {i}" for i in range(8)]
    assert examples[0].image.size == (28, 28)


@pytest.mark.parametrize("name", DATA)
def test_there_is_a_page_for_every_data_set(name, small, monkeypatch):
    gradio = pytest.importorskip("gradio", reason="needs lenet[demo]")
    from lenet.demo.page import Page

    small(name)
    data = getattr(package, name)()
    sizes = {"in_channels": data.in_channels, "num_classes": data.num_classes}
    page = Page(Reader(package.LeNet(**sizes), data), None)
    kinds = {type(block) for block in page.build().blocks.values()}
    takes_photos = name in ("FashionMNIST", "CIFAR10", "CIFAR100", "ImageFolder")
    assert (gradio.Image in kinds) == takes_photos
    assert first_test_images(data, 1)
    assert page.answer(draw_digits()[0].image)[1].count("<img") == 7


# How it is served


def test_demo_serves_the_best_weights_and_leaves_the_run_as_it_is(lenet, trained, tmp_path):
    pytest.importorskip("gradio", reason="needs lenet[demo]")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = lenet("demo", *HIDDEN)
    assert done.code == 0, done.err
    assert "http://127.0.0.1:" in done.out
    assert "best.ckpt" in done.err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_without_gradio_one_line_says_what_to_install(lenet, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "gradio.themes", raising=False)
    done = lenet("demo", *HIDDEN)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("lenet: error: lenet demo needs Gradio")
    assert "pip install 'lenet[demo]'" in done.err


def test_a_port_that_is_taken_or_an_address_of_another_machine_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: already in use. Leave it out"):
            free_port("127.0.0.1", port)
    with pytest.raises(UserError, match="--port 65536: must be from 0 to 65535"):
        free_port("127.0.0.1", 65536)
    with pytest.raises(UserError, match=r"--host 192\.0\.2\.1: not an address of this machine"):
        free_port("192.0.2.1", None)


def test_the_next_free_port_is_taken_where_none_is_asked_for(monkeypatch):
    monkeypatch.setattr("lenet.demo.server.LAST_PORT", FIRST_PORT + 20)
    first = free_port("127.0.0.1", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert free_port("127.0.0.1", None) > first


# In a browser


@pytest.fixture(scope="module")
def server(mnist_run, tmp_path_factory):
    pytest.importorskip("gradio", reason="needs lenet[demo]")
    pytest.importorskip("playwright", reason="needs lenet[dev]")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    run = shutil.copytree(mnist_run, tmp_path_factory.mktemp("demo") / mnist_run.name)
    server = Server(run, REAL_MNIST)
    yield server
    out, err = server.stop()
    assert "Stopped." in out
    assert "Traceback" not in err
    assert server.process.returncode == 0


@pytest.fixture
def opened_page(server):
    with opened(server.url) as page:
        yield page


def probabilities(page) -> list[float]:
    parts = page.locator(".answer li .part").all_inner_texts()
    return [float(part.rstrip("%")) for part in parts if part]


# Few tests of much: each process that runs one starts a server.


@pytest.mark.mnist
def test_a_drawn_3_and_a_drawn_7_are_read_while_they_are_drawn_and_cleared(opened_page):
    for strokes, digit in ((THREE, "3"), (SEVEN, "7")):
        draw(opened_page, strokes, lift=False)
        wait_for_answer(opened_page, digit)
        opened_page.mouse.up()
        assert probabilities(opened_page)[int(digit)] > 50
        assert opened_page.locator("#layers img").count() == 7
        opened_page.click(".clear")
        wait_for_answer(opened_page, "?")
        assert probabilities(opened_page) == []
        assert opened_page.locator("#layers img").count() == 0


@pytest.mark.mnist
def test_the_page_says_which_run_it_shows_has_examples_and_fits_a_laptop(opened_page):
    said = opened_page.inner_text(".head")
    for part in ("Draw a digit", "LeNet on MNIST", "LeNet-MNIST-1", "best.ckpt", "not tested yet"):
        assert part in said
    assert opened_page.title() == "lenet: LeNet on MNIST"
    buttons = opened_page.locator(".examples button")
    assert buttons.count() == 12
    right = 0
    for button in buttons.all():
        opened_page.click(".clear")
        wait_for_answer(opened_page, "?")
        button.click()
        opened_page.wait_for_selector(".answer li.most")
        name = button.get_attribute("title")
        right += opened_page.inner_text(".said b") in (name[0], name[-1])
    assert right >= 11
    for side, pixels in (("Height", 800), ("Width", 1280)):
        assert opened_page.evaluate(f"document.documentElement.scroll{side}") <= pixels
    opened_page.set_viewport_size({"width": 390, "height": 844})  # a telephone
    assert opened_page.locator(".answer .bar").first.bounding_box()["width"] > 150
    assert opened_page.evaluate("document.documentElement.scrollWidth") <= 390
