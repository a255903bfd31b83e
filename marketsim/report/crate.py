"""A bundle as a file: one zip, described as an RO-Crate, whose script repeats the digests.

The same contents give the same bytes. Packed by `pack`; what goes in, `marketsim.report.bundle`
says.
"""

import hashlib
import io
import json
import mimetypes
import shlex
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marketsim.scenario.wording import visible
from marketsim.tape.files import atomic

SCRIPT, SUMS, CRATE = "run-all.sh", "SHA256SUMS", "ro-crate-metadata.json"
#: Folder that the script writes to.
REPEAT = "repeat"
#: The time of every file in the zip, the earliest there is: it says nothing.
EPOCH = (1980, 1, 1, 0, 0, 0)
#: Types that Python's table does not have everywhere.
TYPES = {".toml": "application/toml", ".parquet": "application/vnd.apache.parquet"}
TYPES |= {".md": "text/markdown", ".sh": "application/x-sh", ".csv": "text/csv"}

_SCRIPT = """\
#!/bin/sh
# Makes everything again, in the folder `{repeat}`, and compares the digests: sh {script}
# Needs marketsim on the path, or MARKETSIM=/where/it/is, of the version that versions.json says.
set -eu
cd "$(dirname "$0")"
marketsim=${{MARKETSIM:-marketsim}}
sums="sha256sum"
command -v sha256sum >/dev/null || sums="shasum -a 256"
$sums -c {sums} >/dev/null || {{
    echo "a file of this bundle is not as it was packed" >&2
    exit 1
}}
rm -rf {repeat}
mkdir {repeat}

same() {{
    if grep -q "\\"$2\\"" "$1"; then
        echo "the same digest: $2"
    else
        echo "ANOTHER digest than $2: see $1" >&2
        exit 1
    fi
}}

{commands}
"""
_README = """\
# {title}

{description}

    sh {script}

makes everything again and compares the digest, `{digest}`. It needs marketsim; `versions.json` says
which versions made what is here. `{sums}` has the hash of every file, `{crate}` describes
them (RO-Crate 1.1).
"""


@dataclass
class Contents:
    """What goes into a bundle."""

    name: str  #: of the folder in the zip
    title: str
    description: str
    digest: str  #: what the script has to find again
    made: float  #: when, seconds since 1970
    versions: dict[str, Any]
    commands: list[list[str]]  #: words after "marketsim"; the first prints the digest as JSON
    prepare: list[str] = field(default_factory=list)  #: lines of shell before the first command
    files: dict[str, bytes] = field(default_factory=dict)


def pack(contents: Contents, path: Path) -> None:
    """Write a bundle, complete or not at all.

    Parameters
    ----------
    contents : Contents
    path : Path
        Replaced if it is there.

    Raises
    ------
    FolderError
        If it cannot be written.
    """
    files = dict(contents.files)
    files["versions.json"] = _json(contents.versions)
    files[SCRIPT] = _script(contents).encode()
    files["README.md"] = _README.format(
        title=visible(contents.title),
        description=visible(contents.description),
        digest=contents.digest,
        script=SCRIPT,
        sums=SUMS,
        crate=CRATE,
    ).encode()
    files[CRATE] = _json(_describe(contents, files))
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items()))
    files[SUMS] = ("\n".join(lines) + "\n").encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{contents.name}/{name}", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose modes follow
            entry.external_attr = (0o100755 if name == SCRIPT else 0o100644) << 16
            archive.writestr(entry, data)
    with atomic(path) as file:
        file.write(stream.getvalue())


def _script(contents: Contents) -> str:
    first, *others = contents.commands
    answer = f"{REPEAT}/answer.json"
    lines = [
        *contents.prepare,
        f'"$marketsim" {shlex.join(first)} >{answer}',
        f"same {answer} {contents.digest}",
        *(f'"$marketsim" {shlex.join(words)}' for words in others),
    ]
    return _SCRIPT.format(repeat=REPEAT, script=SCRIPT, sums=SUMS, commands="\n".join(lines))


def _describe(contents: Contents, files: dict[str, bytes]) -> dict[str, Any]:
    """Describe a bundle as the RO-Crate specification 1.1 asks."""
    names = sorted(files)
    model = contents.versions.get("model") or contents.versions.get("marketsim-perps", "")
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": contents.title,
        "description": contents.description or contents.title,
        "datePublished": datetime.fromtimestamp(contents.made, UTC).date().isoformat(),
        "identifier": contents.digest,
        "hasPart": _references(names),
        "mentions": [{"@id": "#making"}],
    }
    software = {
        "@id": "#marketsim",
        "@type": "SoftwareApplication",
        "name": "marketsim",
        "softwareVersion": str(model),
    }
    results = [name for name in names if name.startswith(("figures/", "analysis/"))]
    making = {
        "@id": "#making",
        "@type": "CreateAction",
        "name": f"marketsim {shlex.join(contents.commands[0])}",
        "instrument": {"@id": "#marketsim"},
        "object": _references([name for name in names if name.endswith(".toml")]),
        "result": _references(results),
    }
    about = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    parts = [_describe_file(name, files[name]) for name in names]
    return {
        "@context": "https://w3id.org/ro/crate/1.1/context",
        "@graph": [about, root, software, making, *parts],
    }


def _describe_file(name: str, data: bytes) -> dict[str, Any]:
    suffix = Path(name).suffix
    kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {
        "@id": name,
        "@type": "File",
        "name": Path(name).name,
        "encodingFormat": kind,
        "contentSize": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _references(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"@id": name} for name in names]


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
