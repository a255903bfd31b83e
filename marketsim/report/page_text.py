"""The page's own files: what it consists of, and all of it as one text.

``page.html`` names its files one a line, relatively; the live server serves them as they are, the
replay carries them in itself.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from html import escape
from importlib.resources import files

PAGE = "page.html"
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.-]+)">')
_SCRIPT = re.compile(r'<script src="([\w.-]+)"(?: defer)?></script>')
_HEAD = '<meta charset="utf-8">'


def page_files() -> tuple[str, ...]:
    """List the files that ``page.html`` names; there are no others to be served."""
    html = read_page(PAGE)
    return (*_STYLE.findall(html), *_SCRIPT.findall(html))


@cache
def read_page(name: str) -> str:
    """Return the text of one of the page's files."""
    return files("marketsim.report").joinpath("page", name).read_text(encoding="utf-8")


def whole_page(data: str, title: str) -> str:
    """Return the page with all its files and some data in it; it needs no network.

    A policy in its head lets it run these scripts alone and send nothing anywhere: what a name in
    the data says is never run.

    Parameters
    ----------
    data : str
        Base64: letters, digits, "+", "/" and "=".
    title : str
    """
    hashes: dict[str, list[str]] = {"style": [], "script": []}

    def inlined(kind: str) -> Callable[[re.Match[str]], str]:
        def put(match: re.Match[str]) -> str:
            text = read_page(match[1])
            digest = hashlib.sha256(text.encode()).digest()
            hashes[kind].append(f"'sha256-{base64.b64encode(digest).decode()}'")
            return f"<{kind}>{text}</{kind}>"

        return put

    html = read_page(PAGE)
    recording = f'<script type="application/octet-stream" id="recording">{data}</script>\n'
    first = _SCRIPT.search(html)
    assert first is not None, f"{PAGE} names no script"
    html = html[: first.start()] + recording + html[first.start() :]
    html = _STYLE.sub(inlined("style"), html)
    html = _SCRIPT.sub(inlined("script"), html)
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; "
        f"style-src {' '.join(hashes['style'])}; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    html = html.replace(
        _HEAD, f'{_HEAD}\n<meta http-equiv="Content-Security-Policy" content="{policy}">', 1
    )
    return html.replace("<title>marketsim</title>", f"<title>{escape(title)}</title>", 1)
