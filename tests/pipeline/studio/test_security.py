"""Who is turned away, how, and that the studio is still there afterwards."""

import io
import json
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus

from pipeline.errors import SessionError
from pipeline.studio import errors
from pipeline.studio.app import MOST_RECIPE
from pipeline.studio.security import MOST_SOCKETS
from pipeline.studio.serve import LONGEST_MESSAGE, MOST_CONNECTIONS, PortError, open_port
from pipeline.studio.views import MOST_UPLOAD
from tests.pipeline.studio.conftest import Serving
from tests.pipeline.studio.talking import Talk, knock


@pytest.fixture(scope="module")
def bare(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """A studio without any photo."""
    with serving(tmp_path_factory.mktemp("bare")) as talk:
        yield talk


@pytest.fixture(autouse=True)
def still_alive(bare: Talk) -> Iterator[None]:
    """Whatever a test does, the studio answers its own page afterwards."""
    yield
    assert bare.ask("").status == 200
    page = Talk(bare.address).open()
    assert page.state["photo"] is None
    page.close()


def png(width: int, height: int) -> bytes:
    """A PNG that says it is this large, with hardly any data."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * width) * 4)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    )


def cut_short() -> bytes:
    """Half of a JPEG."""
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "JPEG")
    return file.getvalue()[: file.tell() // 2]


@pytest.mark.parametrize(
    "path", ["/", "/socket", "/photos", "/wrong/", "/{token}x/", "/{short}/", "//", "/%00/"]
)
def test_no_address_without_the_token(bare: Talk, path: str) -> None:
    token = bare.token.strip("/")
    answer = bare.ask(path.format(token=token, short=token[:-1]), whole_path=True)
    assert answer.status == 403
    assert token not in answer.body.decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost", " "]
)
def test_a_name_that_was_bound_to_this_machine_is_refused(bare: Talk, host: str) -> None:
    port = urlsplit(bare.address).port
    assert bare.ask("", headers={"Host": host.format(port=port)}).status == 403


def test_localhost_is_this_machine(bare: Talk) -> None:
    port = urlsplit(bare.address).port
    assert bare.ask("", headers={"Host": f"localhost:{port}"}).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", ""])
def test_another_page_can_change_nothing(bare: Talk, origin: str) -> None:
    answer = bare.ask("photos", b"x", {"Origin": origin})
    assert answer.status == 403
    with pytest.raises(InvalidStatus) as refused, knock(bare.address, origin or None):
        pass
    assert refused.value.response.status_code == 403


def test_another_page_can_read_nothing(bare: Talk) -> None:
    assert bare.ask("", headers={"Origin": "https://evil.example"}).status == 403


def test_two_hosts_are_none(bare: Talk) -> None:
    request = f"GET {bare.token} HTTP/1.1\r\nHost: {bare.host}\r\nHost: evil.example\r\n\r\n"
    answer = raw(bare, request.encode())
    assert answer.split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%2f..%2f..%2fapp.py",
        "....//....//app.py", "/etc/passwd", "%2fetc%2fpasswd", "../app.py", "..\\app.py",
        "photos/../../token/picture", "photos/%2e%2e/picture", "photos/..%2f..%2ftoken/thumbnail",
        "photos/0123456789abcdef/picture", "downloads/..%2f..%2ftoken", "downloads/token",
        "photos/0123456789abcdef/faces/1/masks/..%2f..%2ftoken",
        "photos/0123456789abcdef/faces/1/expressions/..%2f..%2ftoken",
        "photos/0123456789abcdef/faces/..%2f..%2f1/thumbnail",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(bare: Talk, path: str) -> None:
    answer = bare.ask(path)
    assert answer.status in (403, 404)
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_names_of_files_go_nowhere(talk: Talk, folder: Path, portrait: Path) -> None:
    before = {path.name for path in folder.rglob("*")}
    content = io.BytesIO()
    Image.open(portrait).resize((64, 64)).save(content, "PNG")
    talk.upload("photos", content.getvalue(), "../../../evil\n<b>.png")
    talk.until(lambda state: state["photo"]["name"] == "evil<b>.png")
    talk.idle()
    new = {path.name for path in folder.rglob("*")} - before
    assert not any("evil" in name for name in new)


def test_an_upload_that_says_it_is_too_large(bare: Talk) -> None:
    request = (
        f"POST {bare.token}photos HTTP/1.1\r\nHost: {bare.host}\r\nOrigin: {bare.origin}\r\n"
        f"Content-Length: {MOST_UPLOAD + 1}\r\n\r\n"
    )
    assert raw(bare, request.encode()).split()[1] == b"413"


def test_an_upload_that_grows_too_large(bare: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.studio.app.MOST_UPLOAD", 100_000)
    block = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    request = (
        f"POST {bare.token}photos HTTP/1.1\r\nHost: {bare.host}\r\nOrigin: {bare.origin}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    assert raw(bare, request.encode() + 5 * block).split()[1] == b"413"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (png(50_000, 50_000), 413, "too-large"),
        (png(20_000, 10_000), 413, "too-large"),
        (cut_short(), 422, "broken-photo"),
        (b"only text", 415, "not-a-photo"),
        (b"", 415, "not-a-photo"),
    ],
)
def test_files_that_are_no_photos(bare: Talk, content: bytes, status: int, code: str) -> None:
    answer = bare.upload("photos", content, "holiday.png")
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["message"].startswith("holiday.png ")


def test_no_part_is_made_by_asking_for_it(talk: Talk, folder: Path) -> None:
    photo = f"photos/{talk.state['photo']['photo']}"
    before = sorted(path.name for path in (folder / photo).iterdir())
    for part in ("..", "7", "0,0,99", "0,0", "-1,0,99", "1.5,0,99", "0,0,9999999"):
        for path in ("thumbnail", "masks/0123456789abcdef", "regions/mouth", "expressions/..%2f1"):
            assert talk.ask(f"{photo}/faces/{part}/{path}").status in (400, 404)
        for path in ("masks", "mask-files", "expressions"):
            assert talk.upload(f"{photo}/faces/{part}/{path}", b"x", "x.png").status in (400, 404)
    assert sorted(path.name for path in (folder / photo).iterdir()) == before


def test_masks_and_recipes_are_bounded(talk: Talk) -> None:
    photo = f"photos/{talk.state['photo']['photo']}"
    answer = talk.upload(f"{photo}/faces/1/mask-files", png(50_000, 50_000), "mask.png")
    assert (answer.status, answer.json["code"]) == (413, "too-large")
    answer = talk.upload(f"{photo}/faces/1/mask-files", png(13_000, 14_000), "mask.png")
    assert (answer.status, answer.json["code"]) == (413, "too-large")
    answer = talk.upload(f"{photo}/recipes", b" " * (MOST_RECIPE + 1), "r.json")
    assert (answer.status, answer.json["code"]) == (413, "too-large")


def test_a_hundred_connections_at_once(bare: Talk) -> None:
    request = f"GET {bare.token} HTTP/1.1\r\nHost: {bare.host}\r\n\r\n".encode()
    with ExitStack() as stack:
        sockets = [stack.enter_context(dial(bare)) for _ in range(100)]
        for each in sockets:
            each.sendall(request)
        statuses = [each.recv(100).split()[1] for each in sockets]
    assert set(statuses) <= {b"200", b"503"}
    assert statuses.count(b"503") >= 100 - MOST_CONNECTIONS


def test_a_bounded_number_of_pages(bare: Talk) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_SOCKETS):
            stack.callback(Talk(bare.address).open().close)
        with pytest.raises(InvalidStatus):
            Talk(bare.address).open()


@pytest.mark.parametrize(
    "message", ["no JSON", "[1]", "7", '{"id": 1', "x" * (LONGEST_MESSAGE + 1), b"\x00\x01"]
)
def test_what_is_no_message_ends_the_talk(bare: Talk, message: str | bytes) -> None:
    page = Talk(bare.address).open()
    assert page.socket is not None
    page.socket.send(message)
    with pytest.raises(Exception, match=r"received|sent"):
        for _ in range(3):
            page.socket.recv(timeout=30)


@pytest.mark.parametrize(
    "message",
    [
        {"do": "fly"},
        {"do": 7},
        {},
        {"do": "open", "photo": "../../token"},
        {"do": "open", "photo": "0123456789abcdef"},
        {"do": "forget", "photo": ".."},
        {"do": "face", "face": 1},
        {"do": "face", "face": -1},
        {"do": "face", "face": "0,0,99"},
        {"do": "face", "face": "../../token"},
        {"do": "drop", "face": "../..,0,9"},
        {"do": "drop", "face": "0,0,99"},
        {"do": "settings", "settings": {"quality": "../fast"}},
        {"do": "settings", "settings": {"engine": {"name": "default", "options": {"no": 1}}}},
        {"do": "draft", "draft": {"points": [{"id": "a", "at": [1e999, 0], "to": [0, 0]}]}},
        {"do": "draft", "draft": {"points": 5}},
        {"do": "run"},
        {"do": "stop"},
        {"do": "cancel", "job": 99},
        {"do": "export", "what": "token"},
        {"do": "ack", "seq": "x"},
    ],
)
def test_messages_that_cannot_be_followed(bare: Talk, message: dict[str, object]) -> None:
    page = Talk(bare.address).open()
    assert page.socket is not None
    page.socket.send(json.dumps({"id": 1, **message}))
    answer = page.wait(lambda told: told.get("re") == 1)
    assert answer["type"] == "error"
    assert answer["code"] in ("bad-request", "unknown", "request")
    assert "Traceback" not in answer["message"]
    page.close()


def test_headers_of_every_answer(bare: Talk) -> None:
    for path in ("", "photos/0123456789abcdef/picture", "nothing"):
        headers = {name.lower(): value for name, value in bare.ask(path).headers.items()}
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_only_this_machine_can_connect() -> None:
    with open_port(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(PortError, match="choose another --port"):
            open_port(listener.getsockname()[1])


def test_the_token_is_its_owners(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        assert one.token != two.token
        assert len(one.token) > 32
    assert (tmp_path / "one" / "token").stat().st_mode & 0o077 == 0
    with serving(tmp_path / "one") as again:
        assert again.token == one.token


def test_bugs_stay_in_the_terminal() -> None:
    code, status, message = errors.describe(ValueError("secret detail"))
    assert (code, status) == ("internal", 500)
    assert "secret" not in message
    assert errors.describe(SessionError("cannot write x"))[0] == "disk"


def dial(talk: Talk) -> socket.socket:
    parts = urlsplit(talk.address)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def raw(talk: Talk, request: bytes) -> bytes:
    """Send bytes as they are and return the beginning of the answer."""
    with dial(talk) as connection:
        connection.sendall(request)
        return connection.recv(4000)
