"""EXIF, XMP, profile, resolution and JPEG tables through an edit."""

from pathlib import Path
from typing import Any
from xml.dom import minidom

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from pipeline.metadata import DIGITAL_SOURCE_TYPE, JpegSettings, Metadata, with_chunks
from pipeline.photo import read_photo, save_photo, software

PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Old" '
    b'xmp:Rating="4" xmlns:own="http://example.org/"><own:Note>kept</own:Note></rdf:Description>'
    b"</rdf:RDF></x:xmpmeta>"
)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def gradient(mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[:64, :80]
    return Image.fromarray(np.stack([x * 3, y * 3, x + y], -1).astype(np.uint8)).convert(mode)


def exif() -> Image.Exif:
    block = Image.Exif()
    block[271], block[305] = "Maker", "Camera 1.0"
    block.get_ifd(0x8769)[33434] = 0.01
    return block


def carried(suffix: str) -> dict[str, Any]:
    # Bytes, since Pillow's TIFF writer skips directories that were only asked for, not loaded.
    return {"exif": exif().tobytes(), "icc_profile": PROFILE, "dpi": (300, 300)} | (
        {"xmp": PACKET} if suffix in ("jpg", "webp") else {}
    )


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("to", ["jpg", "png", "tif", "webp"])
def test_everything_survives_an_edit(tmp_path: Path, suffix: str, to: str) -> None:
    gradient().save(tmp_path / f"in.{suffix}", **carried(suffix))
    photo = read_photo(tmp_path / f"in.{suffix}")
    assert save_photo(photo, tmp_path / f"out.{to}", edited=True) == ()
    with Image.open(tmp_path / f"out.{to}") as saved:
        block = saved.getexif()
        assert block[271] == "Maker"
        assert block[305] == software()
        assert block.get_ifd(0x8769)[33434] == pytest.approx(0.01)
        assert saved.info["icc_profile"] == PROFILE
        if "webp" not in (suffix, to):
            assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert properties(saved.info["xmp"])["CreatorTool"] == software()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_everything_survives_in_a_tiff_of_sixteen_bits(
    tmp_path: Path, channels: int, endian: str
) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (130, 37, channels), np.uint16)
    block = exif()
    block.endian = endian
    block.get_ifd(0x8825)[2] = (52.0, 30.0, 12.5)
    cv2.imwrite(str(tmp_path / "in.png"), deep)
    metadata = Metadata(exif=block.tobytes(), icc_profile=PROFILE, dpi=(300, 150), xmp=PACKET)
    (tmp_path / "in.png").write_bytes(with_chunks((tmp_path / "in.png").read_bytes(), metadata))
    photo = read_photo(tmp_path / "in.png")
    path = tmp_path / "out.tif"
    assert save_photo(photo, path, edited=True) == ()
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), deep)
    np.testing.assert_array_equal(read_photo(path).pixels, photo.pixels)
    with Image.open(path) as saved:
        block = saved.getexif()
        assert block[271] == "Maker"
        assert block[305] == software()
        assert block.get_ifd(0x8769)[33434] == pytest.approx(0.01)
        assert block.get_ifd(0x8825)[2] == (52.0, 30.0, 12.5)
        assert saved.info["icc_profile"] == PROFILE
        assert saved.info["dpi"] == pytest.approx((300, 150), abs=0.1)
        assert b"<own:Note>kept</own:Note>" in saved.info["xmp"]


def test_a_tiff_without_a_resolution_gets_none(tmp_path: Path) -> None:
    gradient().save(tmp_path / "in.tif")
    photo = read_photo(tmp_path / "in.tif")
    assert photo.metadata.dpi is None
    save_photo(photo, tmp_path / "out.png", edited=True)
    with Image.open(tmp_path / "out.png") as saved:
        assert "dpi" not in saved.info


def properties(packet: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    document = minidom.parseString(packet)  # noqa: S318  (written by the code under test)
    for node in document.getElementsByTagName("rdf:Description"):
        found |= {name.partition(":")[2]: value for name, value in node.attributes.items()}
    return found


def test_xmp_is_merged() -> None:
    packet = Metadata(xmp=PACKET).edited("photodrag 9").xmp or b""
    found = properties(packet)
    assert found["DigitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert found["CreatorTool"] == "photodrag 9"
    assert found["Rating"] == "4"
    assert b"<own:Note>kept</own:Note>" in packet
    again = Metadata(xmp=packet).edited("photodrag 10").xmp or b""
    assert again.count(b"DigitalSourceType=") == 1
    assert again.count(b"CreatorTool=") == 1


@pytest.mark.parametrize(
    "packet",
    [
        b"not xml",
        b"\xff\xfe<",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>' + PACKET,
        b'<?xml version="1.0" encoding="cp037"?>' + PACKET,
    ],
)
def test_unusable_xmp_is_replaced(packet: bytes) -> None:
    written = Metadata(xmp=packet).edited("photodrag 9").xmp or b""
    assert properties(written)["DigitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert b"ENTITY" not in written


def test_damaged_exif_is_replaced() -> None:
    written = Metadata(exif=b"Exif\0\0II*\0\xff\xff").edited("photodrag 9").exif or b""
    block = Image.Exif()
    block.load(written)
    assert dict(block) == {305: "photodrag 9"}


def test_orientation_is_reset_in_xmp_too() -> None:
    tiff = b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" xmp:Rating'
    packet = PACKET.replace(b"xmp:Rating", tiff)
    written = Metadata(xmp=packet, orientation=6).upright().xmp or b""
    assert properties(written)["Orientation"] == "1"
    assert written.count(b"tiff:Orientation=") == 1


def test_jpeg_keeps_its_tables_and_sampling(tmp_path: Path) -> None:
    table = list(range(1, 65))
    gradient().save(tmp_path / "in.jpg", qtables=[table, table], subsampling=2, comment=b"hello")
    photo = read_photo(tmp_path / "in.jpg")
    save_photo(photo, tmp_path / "out.jpg", edited=True)
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == 2
        assert after.info["comment"] == b"hello"
        difference = np.abs(np.asarray(before, int) - np.asarray(after, int))
    assert difference.mean() < 0.5


def test_a_quarter_turn_turns_the_tables() -> None:
    settings = JpegSettings(tables=(tuple(range(64)),), subsampling=1, progressive=False)
    turned = settings.transposed()
    assert turned.tables[0][:3] == (0, 8, 16)
    assert turned.subsampling == 0


def test_png_text_and_gamma_survive_in_sixteen_bits(tmp_path: Path) -> None:
    gradient().save(tmp_path / "plain.png", **carried("png"))
    source = read_photo(tmp_path / "plain.png")
    pixels = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), np.uint16)
    _, encoded = cv2.imencode(".png", pixels)
    text = Metadata(
        exif=source.metadata.exif,
        icc_profile=PROFILE,
        dpi=source.metadata.dpi,
        xmp=PACKET,
        png_chunks=((b"gAMA", b"\0\0\xb1\x8f"), (b"tEXt", b"Title\0A title")),
    )
    (tmp_path / "in.png").write_bytes(with_chunks(encoded.tobytes(), text))
    photo = read_photo(tmp_path / "in.png")
    assert photo.metadata.xmp == PACKET
    assert photo.metadata.png_chunks == text.png_chunks
    save_photo(photo, tmp_path / "out.png", edited=True)
    with Image.open(tmp_path / "out.png") as saved:
        saved.load()
        assert saved.info["gamma"] == pytest.approx(0.45455)
        assert saved.info["Title"] == "A title"
        assert saved.info["Software"] == software()
        assert saved.info["icc_profile"] == PROFILE
        assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert saved.getexif()[271] == "Maker"
        assert properties(saved.info["xmp"])["Rating"] == "4"


def test_a_press_photo_keeps_its_caption(shared: Path, tmp_path: Path) -> None:
    photo = read_photo(shared / "data/photos/portrait_official.jpg")
    save_photo(photo, tmp_path / "out.jpg", edited=True)
    saved = read_photo(tmp_path / "out.jpg").metadata
    assert saved.icc_profile == photo.metadata.icc_profile
    assert saved.jpeg == photo.metadata.jpeg
    block = Image.Exif()
    block.load(saved.exif or b"")
    assert block[315] == "Pete Souza"
    assert block[305] == software()
