"""XMP packets: simple properties set, everything else kept."""

import re
from typing import Final
from xml.dom import minidom
from xml.parsers.expat import ExpatError

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP: Final = "http://ns.adobe.com/xap/1.0/"
IPTC_EXT: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TIFF: Final = "http://ns.adobe.com/tiff/1.0/"
_XMLNS: Final = "http://www.w3.org/2000/xmlns/"
_EMPTY_PACKET: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'
    '<?xpacket end="w"?>'
)
_OTHER_ENCODING: Final = re.compile(r"""<\?xml[^>]*encoding=["'](?!utf-8)""", re.IGNORECASE)


def with_xmp_properties(packet: bytes, properties: dict[tuple[str, str], str]) -> bytes:
    """Set simple properties (namespace, qualified name) of an XMP packet, keeping all others.

    A packet that is not well-formed UTF-8 XML with an RDF element, or that declares a document type
    (whose entities could expand without bound), is replaced by a new one.
    """
    document = _parse_packet(packet) or minidom.parseString(_EMPTY_PACKET.encode())  # noqa: S318
    root = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    for description in list(root.getElementsByTagNameNS(_RDF, "Description")):
        if description.parentNode is not root:
            continue
        for namespace, name in properties:
            local = name.partition(":")[2]
            if description.hasAttributeNS(namespace, local):
                description.removeAttributeNS(namespace, local)
            for child in list(description.childNodes):
                if isinstance(child, minidom.Element) and (
                    (child.namespaceURI, child.localName) == (namespace, local)
                ):
                    description.removeChild(child)
    ours = document.createElementNS(_RDF, "rdf:Description")
    ours.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
    ours.setAttributeNS(_RDF, "rdf:about", _about(root))
    for (namespace, name), value in properties.items():
        ours.setAttributeNS(_XMLNS, f"xmlns:{name.partition(':')[0]}", namespace)
        ours.setAttributeNS(namespace, name, value)
    root.appendChild(ours)
    return "".join(node.toxml() for node in document.childNodes).encode()


def _about(root: minidom.Element) -> str:
    """Return the resource that all descriptions of a packet must name alike."""
    descriptions = root.getElementsByTagNameNS(_RDF, "Description")
    return descriptions[0].getAttributeNS(_RDF, "about") if descriptions else ""


def _parse_packet(packet: bytes) -> minidom.Document | None:
    try:
        text = packet.decode("utf-8").strip("\0 \r\n\t\ufeff")
        if "<!" in text.replace("<!--", "").replace("<![CDATA[", "") or _OTHER_ENCODING.match(text):
            return None
        document = minidom.parseString(text.encode())  # noqa: S318
    except (UnicodeDecodeError, ExpatError):
        return None
    return document if document.getElementsByTagNameNS(_RDF, "RDF") else None
