"""Writes small whole files of every container that memoryd reads, with words where tools put them.

For tests, and as seeds of the fuzzer. Each writer follows its format's specification, not our readers.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence

PROMPT = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 4, "model": ["4", 0]}}})
WORKFLOW = json.dumps({"nodes": [{"id": 3, "type": "KSampler", "widgets_values": [7, "fixed"]}], "links": []})
RECIPE = "a red fox\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 7, Size: 8x6"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
C2PA_BOX = (
    b"\x00\x00\x00\x40jumb\x00\x00\x00\x1ejumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq\x03c2pa\x00" + bytes(26)
)

Tag = tuple[int, int, bytes]
"""Number, type, value's bytes."""


def exif(tags: Sequence[Tag], exif_tags: Sequence[Tag] = (), *, order: str = ">", numbers: Sequence[Tag] = ()) -> bytes:
    """A TIFF block: tags of the first directory, tags of the EXIF directory. Values stand behind the directories."""
    head = (b"MM\x00*" if order == ">" else b"II*\x00") + struct.pack(order + "I", 8)
    first = [*numbers, *tags]
    count = len(first) + bool(exif_tags)
    second = 8 + 2 + 12 * count + 4
    if exif_tags:
        first.append((0x8769, 4, struct.pack(order + "I", second)))
    values_at = second + (2 + 12 * len(exif_tags) + 4 if exif_tags else 0)
    values = b""
    out = head
    for directory in (first, exif_tags):
        if not directory:
            continue
        out += struct.pack(order + "H", len(directory))
        for tag, kind, value in sorted(directory):
            size = {3: 2, 4: 4}.get(kind, 1)
            if len(value) <= 4:
                place = value.ljust(4, b"\x00")
            else:
                place = struct.pack(order + "I", values_at + len(values))
                values += value + b"\x00" * (len(value) % 2)
            out += struct.pack(order + "HHI", tag, kind, len(value) // size) + place
        out += bytes(4)
    return out + values


def comment(text: str = RECIPE) -> Tag:
    """A UserComment as A1111 writes it."""
    return (0x9286, 7, b"UNICODE\x00" + text.encode("utf-16-be"))


def png(
    *chunks: tuple[bytes, bytes], width: int = 8, height: int = 6, colour: int = 2, lines: bytes | None = None
) -> bytes:
    """A PNG with chunks before its picture; `lines` are the filtered lines, black by default."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    stride = 1 + width * {0: 1, 2: 3, 6: 4}[colour]
    packed = zlib.compress(bytes(stride * height) if lines is None else lines)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    body = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def stealth_png(signature: bytes, payload: bytes, *, filter_kind: int = 0, width: int = 48, height: int = 40) -> bytes:
    """A PNG that hides a payload in the lowest bits of alpha (or of red, green and blue), down each column."""
    said = signature + struct.pack(">I", len(payload) * 8) + payload
    bits = [byte >> shift & 1 for byte in said for shift in range(7, -1, -1)]
    channels = (0, 1, 2) if signature.startswith(b"stealth_rgb") else (3,)
    rows = [bytearray(b"\x10\x20\x30\xfe" * width) for _ in range(height)]
    places = [(row, 4 * column + channel) for column in range(width) for row in range(height) for channel in channels]
    for bit, (line, place) in zip(bits, places, strict=False):
        rows[line][place] = rows[line][place] & 0xFE | bit
    lines, above = b"", bytes(4 * width)
    for row in rows:
        filtered = bytearray(row)
        for place in range(len(row)):
            left, corner = (row[place - 4], above[place - 4]) if place >= 4 else (0, 0)
            up = above[place]
            guess = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            filtered[place] = (row[place] - (0, left, up, left + up >> 1, guess)[filter_kind]) & 255
        lines += bytes([filter_kind]) + filtered
        above = bytes(row)
    return png(width=width, height=height, colour=6, lines=lines)


def jpeg(*segments: tuple[int, bytes], width: int = 8, height: int = 6, end: bytes = b"") -> bytes:
    """A JPEG's segments around a picture of no meaning; each is a marker's second byte and its data."""
    parts = [(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), *segments]
    parts += [(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"), (0xDA, b"\x01\x01\x00\x00\x3f\x00")]
    body = b"".join(b"\xff" + bytes([code]) + struct.pack(">H", len(data) + 2) + data for code, data in parts)
    return b"\xff\xd8" + body + b"\x12\x34\xff\x00\x56\xff\xd0\x78" * 4 + b"\xff\xd9" + end


def iptc(*sets: tuple[int, bytes]) -> bytes:
    """A Photoshop segment's data with an IPTC resource."""
    records = b"".join(b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(value)) + value for number, value in sets)
    resource = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(records)) + records + b"\x00" * (len(records) % 2)
    return b"Photoshop 3.0\x00" + resource


def riff(form: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF file, its chunks padded to even."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\x00" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + form + body


def webp(*chunks: tuple[bytes, bytes], width: int = 8, height: int = 6) -> bytes:
    """An extended WebP; its picture is one pixel of lossless WebP."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    pixel = bytes.fromhex("2f0000000007d0fffef7bfff8188e87f00")
    return riff(b"WEBP", (b"VP8X", b"\x0c\x00\x00\x00" + size), (b"VP8L", pixel), *chunks)


def wav(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WAV of eight samples."""
    return riff(b"WAVE", (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)), (b"data", bytes(16)), *chunks)


def info_list(**words: bytes) -> tuple[bytes, bytes]:
    """An INFO list for `wav`."""
    return b"LIST", riff(b"INFO", *[(key.encode(), value) for key, value in words.items()])[8:]


def tiff(tags: Sequence[Tag] = (), exif_tags: Sequence[Tag] = (), *, order: str = "<") -> bytes:
    """A TIFF of one strip, which stands behind everything else."""

    def block(place: int) -> bytes:
        pack = struct.Struct(order + "I").pack
        numbers = [(0x100, 4, pack(8)), (0x101, 4, pack(6)), (0x111, 4, pack(place)), (0x117, 4, pack(48))]
        return exif(tags, exif_tags, order=order, numbers=numbers)

    return block(len(block(0))) + bytes(range(48))


def gif(*comments: bytes, xmp: bytes = b"") -> bytes:
    """A GIF of two frames with comments."""

    def blocks(data: bytes) -> bytes:
        pieces = [data[place : place + 255] for place in range(0, len(data), 255)]
        return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\x00"

    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 8, 6, 0) + b"\x02" + blocks(b"\x44\x01\x00")
    body = b"".join(b"\x21\xfe" + blocks(text) for text in comments)
    if xmp:
        body += b"\x21\xff\x0bXMP DataXMP" + xmp + b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
    return b"GIF89a" + struct.pack("<HH", 8, 6) + b"\x80\x00\x00" + bytes(6) + body + frame * 2 + b"\x3b"


def box(kind: bytes, data: bytes = b"") -> bytes:
    """One ISO box."""
    return struct.pack(">I", 8 + len(data)) + kind + data


def keys_meta(words: dict[str, str], *, quicktime: bool = False) -> bytes:
    """A `meta` box with keys and values, as ffmpeg writes it; QuickTime's has no version."""
    handler = box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
    names = b"".join(box(b"mdta", key.encode()) for key in words)
    values = b"".join(
        box(struct.pack(">I", number), box(b"data", struct.pack(">II", 1, 0) + value.encode()))
        for number, value in enumerate(words.values(), 1)
    )
    content = handler + box(b"keys", struct.pack(">II", 0, len(words)) + names) + box(b"ilst", values)
    return box(b"meta", content if quicktime else bytes(4) + content)


def mp4(*in_moov: bytes, brand: bytes = b"isom", moov_first: bool = False, boxes: bytes = b"") -> bytes:
    """A film of three frames without pictures; `in_moov` are boxes of the index, `boxes` stand beside it."""
    track = box(b"tkhd", bytes(76) + struct.pack(">II", 8 << 16, 6 << 16))
    table = box(b"stbl", box(b"stsz", bytes(8) + struct.pack(">I", 3)))
    media = box(b"mdia", box(b"hdlr", bytes(8) + b"vide" + bytes(13)) + box(b"minf", table))
    moov = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", track + media) + b"".join(in_moov))
    ftyp, mdat = box(b"ftyp", brand + bytes(4) + brand), box(b"mdat", bytes(60))
    return ftyp + boxes + (moov + mdat if moov_first else mdat + moov)


def avif(exif_block: bytes, xmp: bytes = b"", *, brand: bytes = b"avif") -> bytes:
    """An AVIF with an EXIF and an XMP item, located in the file, and a picture of no meaning."""
    stored = struct.pack(">I", 0) + exif_block

    def meta(place: int) -> bytes:
        entry = b"\x02" + bytes(3)
        infos = [box(b"infe", entry + b"\x00\x01\x00\x00av01\x00"), box(b"infe", entry + b"\x00\x02\x00\x00Exif\x00")]
        infos.append(box(b"infe", entry + b"\x00\x03\x00\x00mime\x00application/rdf+xml\x00"))
        pieces = [(1, place, 40), (2, place + 40, len(stored)), (3, place + 40 + len(stored), len(xmp))]
        rows = b"".join(struct.pack(">HHHII", item, 0, 1, offset, length) for item, offset, length in pieces)
        properties = box(b"ipco", box(b"ispe", bytes(4) + struct.pack(">II", 8, 6)))
        properties += box(b"ipma", bytes(4) + struct.pack(">IHBB", 1, 1, 1, 0x81))
        content = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", bytes(4) + b"\x00\x01")
        content += box(b"iinf", bytes(4) + b"\x00\x03" + b"".join(infos))
        content += box(b"iloc", bytes(4) + b"\x44\x00\x00\x03" + rows) + box(b"iprp", properties)
        return box(b"meta", bytes(4) + content)

    ftyp = box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
    place = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(place) + box(b"mdat", bytes(40) + stored + xmp)


def element(number: int, data: bytes, *, unknown: bool = False) -> bytes:
    """One EBML element; its length may be left unknown."""
    head = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return head + (b"\x01" + b"\xff" * 7 if unknown else (len(data) | 1 << 56).to_bytes(8, "big")) + data


def webm(words: dict[str, str], *, unknown: bool = False, kind: bytes = b"webm") -> bytes:
    """A film with one cluster, and tags behind it."""
    tags = b"".join(
        element(0x67C8, element(0x45A3, key.encode()) + element(0x4487, value.encode())) for key, value in words.items()
    )
    video = element(0xE0, element(0xB0, b"\x08") + element(0xBA, b"\x06"))
    tracks = element(0x1654AE6B, element(0xAE, element(0x83, b"\x01") + video))
    cluster = element(0x1F43B675, element(0xE7, b"\x00") + element(0xA3, bytes(12)), unknown=unknown)
    body = tracks + cluster + element(0x1254C367, element(0x7373, tags))
    return element(0x1A45DFA3, element(0x4282, kind)) + element(0x18538067, body, unknown=unknown)


def vorbis_comments(words: dict[str, str]) -> bytes:
    """A block of Vorbis comments."""
    rows = [f"{key}={value}".encode() for key, value in words.items()]
    listed = b"".join(struct.pack("<I", len(row)) + row for row in rows)
    return struct.pack("<I", 4) + b"test" + struct.pack("<I", len(rows)) + listed


def ogg(words: dict[str, str]) -> bytes:
    """An Opus file; its comments go over as many pages as they need."""

    def page(number: int, flags: int, lacing: bytes, data: bytes) -> bytes:
        return b"OggS\x00" + bytes([flags]) + struct.pack("<qIIIB", 0, 1, number, 0, len(lacing)) + lacing + data

    head = b"OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00"
    tags = b"OpusTags" + vorbis_comments(words)
    lacing = b"\xff" * (len(tags) // 255) + bytes([len(tags) % 255])
    out, number = page(0, 2, bytes([len(head)]), head), 1
    while lacing:
        size = sum(lacing[:255])
        out += page(number, 0 if number == 1 else 1, lacing[:255], tags[:size])
        lacing, tags, number = lacing[255:], tags[size:], number + 1
    return out + page(number, 4, b"\x0a", bytes(10))


def id3(words: dict[str, str], *, version: int = 4, encoding: int = 3, unsynchronised: bool = False) -> bytes:
    """An ID3v2 tag with a named text for each word."""
    codec, end = {
        0: ("latin-1", b"\x00"),
        1: ("utf-16", b"\x00\x00"),
        2: ("utf-16-be", b"\x00\x00"),
        3: ("utf-8", b"\x00"),
    }[encoding]
    frames = b""
    for key, value in words.items():
        data = bytes([encoding]) + key.encode(codec) + end + value.encode(codec)
        if version == 2:
            frames += b"TXX" + len(data).to_bytes(3, "big") + data
        else:
            frames += (
                b"TXXX" + (_synchsafe(len(data)) if version == 4 else struct.pack(">I", len(data))) + bytes(2) + data
            )
    if unsynchronised:
        frames = frames.replace(b"\xff", b"\xff\x00")
    return b"ID3" + bytes([version, 0, 0x80 if unsynchronised else 0]) + _synchsafe(len(frames)) + frames


def mp3(tag: bytes) -> bytes:
    """A tag and three silent frames of 128 kbit/s, the first of which says how many bytes there are."""
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    first = frame[:36] + b"Info" + struct.pack(">II", 2, 3 * len(frame)) + frame[48:]
    return tag + first + frame * 2


def exr(words: dict[str, str], *, parts: int = 1) -> bytes:
    """An EXR of 8x6 without compression; further parts are of the same kind."""

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\x00" + kind.encode() + b"\x00" + struct.pack("<i", len(data)) + data

    header = attribute("dataWindow", "box2i", struct.pack("<4i", 0, 0, 7, 5)) + attribute(
        "compression", "compression", b"\x00"
    )
    header += b"".join(attribute(key, "string", value.encode()) for key, value in words.items())
    if parts > 1:
        header += attribute("type", "string", b"scanlineimage") + attribute("chunkCount", "int", struct.pack("<i", 6))
    head = b"v/1\x01" + struct.pack("<I", 2 | (0x1000 if parts > 1 else 0)) + (header + b"\x00") * parts
    head += b"\x00" if parts > 1 else b""
    lead = 4 if parts > 1 else 0
    chunk = lead + 8 + 16
    begin = len(head) + 48 * parts
    table = b"".join(struct.pack("<Q", begin + chunk * line) for line in range(6 * parts))
    lines = [
        struct.pack("<i", line // 6)[:lead] + struct.pack("<ii", line % 6, 16) + bytes(16) for line in range(6 * parts)
    ]
    return head + table + b"".join(lines)


def svg(metadata: str, *, prologue: str = '<?xml version="1.0"?>\n') -> bytes:
    """An SVG with a CDATA section in its metadata."""
    root = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6" viewBox="0 0 8 6">'
    return f"{prologue}{root}<metadata><![CDATA[{metadata}]]></metadata><path d='M0 0'/></svg>\n".encode()


def glb(extras: dict[str, str]) -> bytes:
    """A binary glTF with extras."""
    scene = json.dumps({"scenes": [{}], "asset": {"version": "2.0", "extras": extras}}).encode()
    scene += b" " * (-len(scene) % 4)
    return (
        b"glTF"
        + struct.pack("<III", 2, 28 + len(scene), len(scene))
        + b"JSON"
        + scene
        + struct.pack("<I4s", 0, b"BIN\x00")
    )


def latent(metadata: dict[str, str]) -> bytes:
    """A `.latent` of one tensor."""
    tensors = {"latent_tensor": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    header = json.dumps({"__metadata__": metadata, **tensors}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


WORDS = {"prompt": PROMPT, "workflow": WORKFLOW}


def every_kind() -> dict[str, bytes]:
    """A file of each kind and carrier, by a name of its own: the fuzzer's made seeds."""
    both = json.dumps({"prompt": PROMPT, "workflow": json.loads(WORKFLOW)})
    pillow_like = exif(
        [(0x010F, 2, f"workflow:{WORKFLOW}".encode() + b"\x00"), (0x0110, 2, f"prompt:{PROMPT}".encode() + b"\x00")]
    )
    a1111 = exif([(0x0131, 2, b"Fooocus v2\x00")], [comment(), (0x927C, 7, b"fooocus")], order="<")
    jpeg_exif = (0xE1, b"Exif\x00\x00" + a1111)
    png_texts = (
        (b"tEXt", b"prompt\x00" + PROMPT.encode()),
        (b"iTXt", b"workflow\x00\x01\x00\x00\x00" + zlib.compress(WORKFLOW.encode())),
    )
    return {
        "png": png(*png_texts, (b"eXIf", a1111), (b"caBX", C2PA_BOX), (b"comf", b"prompt\x00{}")),
        "png_profile": png(
            (b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(b"\nexif\n 8\n" + a1111.hex().encode()))
        ),
        "png_stealth": stealth_png(b"stealth_pnginfo", RECIPE.encode(), filter_kind=4),
        "jpeg": jpeg(
            jpeg_exif,
            (0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP),
            (0xED, iptc((120, b"a fox"))),
            (0xFE, b"hello"),
            (0xEB, b"JP\x00\x01\x00\x00\x00\x01" + C2PA_BOX),
        ),
        "webp": webp((b"EXIF", b"Exif\x00\x00" + pillow_like), (b"XMP ", XMP)),
        "wav": wav(info_list(ICMT=b"a fox", INAM=b"odd"), (b"id3 ", id3(WORDS))),
        "tiff": tiff([(0x010E, 2, RECIPE.encode() + b"\x00"), (0x02BC, 1, XMP)], [comment()]),
        "gif": gif(RECIPE.encode() * 4, xmp=XMP),
        "mp4": mp4(box(b"udta", keys_meta(WORDS))),
        "mov": mp4(box(b"udta", keys_meta({"comment": both}, quicktime=True)), brand=b"qt  ", moov_first=True),
        "avif": avif(a1111, XMP),
        "webm": webm({"PROMPT": PROMPT, "WORKFLOW": WORKFLOW}),
        "mkv_unknown": webm({"COMMENT": both}, unknown=True, kind=b"matroska"),
        "ogg": ogg({**WORDS, "long": "x" * 70_000}),
        "mp3": mp3(id3(WORDS)),
        "mp3_old": mp3(id3(WORDS, version=3, encoding=1, unsynchronised=True)),
        "exr": exr(WORDS),
        "exr_parts": exr(WORDS, parts=2),
        "svg": svg(both),
        "glb": glb(WORDS),
        "latent": latent(WORDS),
    }
