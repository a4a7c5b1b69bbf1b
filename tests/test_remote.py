"""Weights at an address, served from this machine."""

import email.message
import io
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.response import addinfourl

import pytest

from lenet import load
from lenet.errors import UserError
from lenet.runs import download
from tests.conftest import QUIET
from tests.serving import serving


class Handler(BaseHTTPRequestHandler):
    """Answer as the address asks for."""

    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self):
        name = self.path.lstrip("/")
        self.asked.append(name)
        if name.startswith("to?"):
            self.send_response(302)
            self.send_header("Location", name[3:])
            self.end_headers()
        elif name in self.files:
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if name == "page" else "data/zip")
            if name != "endless":
                length = len(self.files[name]) + (name == "short") + (name == "huge") * 2**40
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(self.files[name])
            while name == "endless":
                self.wfile.write(bytes(1 << 20))
            if name == "silent":
                time.sleep(2)
        else:
            self.send_error(404, "no such page")

    def log_message(self, *_):
        pass


@pytest.fixture
def site(good, shared):
    """Serve weights and worse, and give the address."""
    whole = shared.read_bytes()
    Handler.files = {"lenet.safetensors": whole, "page": b"<html></html>", "cut": whole[:9000]}
    Handler.files |= {"short": whole[:9000], "huge": whole, "endless": whole, "empty": b""}
    Handler.files["last.ckpt"] = good.read_bytes()
    Handler.asked = []
    with serving(Handler) as address:
        yield address


def test_weights_at_an_address_are_fetched_once_and_tested(lenet, site, shared):
    url = f"{site}/lenet.safetensors"
    done = lenet("test", "--ckpt_path", url, *QUIET)
    assert done.code == 0, done.err
    assert f"Downloading {url} to" in done.err
    [file] = Path("runs/downloads").rglob("lenet.safetensors")
    assert file.read_bytes() == shared.read_bytes()
    assert (file.parent / "test.json").is_file()
    assert load(url).hparams.num_classes == 10
    assert Handler.asked == ["lenet.safetensors"]
    assert lenet("test", "--ckpt_path", f"{site}/to?/lenet.safetensors", *QUIET).code == 0


def test_training_does_not_resume_from_an_address(lenet, site):
    done = lenet("fit", "--ckpt_path", f"{site}/last.ckpt", *QUIET)
    assert done.code == 2
    assert "has only weights" in done.err
    assert not Handler.asked


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "no such page"),
        ("page", "it is a web page, not safetensors"),
        ("last.ckpt", "damaged or not a safetensors file"),
        ("cut", "damaged or not a safetensors file"),
        ("empty", "damaged or not a safetensors file"),
        ("short", "damaged or not a safetensors file"),
        ("huge", "larger than 2 GB"),
        ("to?/to?/nothing", "no such page"),
    ],
)
def test_what_cannot_be_fetched_is_a_mistake_of_one_line(lenet, site, name, reason):
    done = lenet("test", "--ckpt_path", f"{site}/{name}", *QUIET)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert f"--ckpt_path {site}/{name}: " in done.err.splitlines()[-1]
    assert reason in done.err.splitlines()[-1]
    assert not list(Path("runs").rglob("*.*"))


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_an_address_that_leads_out_of_the_web_is_refused(lenet, site, monkeypatch, address):
    for handler in ("FileHandler.file_open", "DataHandler.data_open"):
        monkeypatch.setattr(f"urllib.request.{handler}", lambda *_: pytest.fail("opened"))

    def ftp_open(self, request):
        weights = io.BytesIO(Handler.files["lenet.safetensors"])
        return addinfourl(weights, email.message.Message(), request.full_url)

    monkeypatch.setattr("urllib.request.FTPHandler.ftp_open", ftp_open)
    done = lenet("test", "--ckpt_path", f"{site}/to?{address}", *QUIET)
    assert done.code == 2
    assert f"--ckpt_path {site}/to?{address}: cannot be downloaded" in done.err.splitlines()[-1]
    assert not list(Path("runs").rglob("*.*"))


def test_an_endless_or_silent_answer_is_given_up(site, monkeypatch):
    monkeypatch.setattr(download, "MAX_SIZE", 3 << 20)
    with pytest.raises(UserError, match="larger than"):
        load(f"{site}/endless")
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    Handler.files["silent"] = b""
    monkeypatch.setattr(Handler, "end_headers", lambda self: time.sleep(20))
    started = time.perf_counter()
    with pytest.raises(UserError, match="cannot be downloaded"):
        load(f"{site}/silent")
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "s3://bucket/x.ckpt", "http://", "http://[::1"]
)
def test_other_addresses_are_refused(lenet, url):
    done = lenet("test", "--ckpt_path", url)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert f"--ckpt_path {url}: " in done.err


def test_a_server_that_is_not_there_is_named(lenet):
    done = lenet("test", "--ckpt_path", "http://127.0.0.1:1/best.ckpt")
    assert done.code == 2
    assert "cannot be downloaded" in done.err.splitlines()[-1]
