"""Which encoding a text file has that is not UTF-8."""

import codecs
import shlex
from pathlib import Path


def not_utf8(path: Path) -> str:
    """What to tell about a file that is not UTF-8: its first such line, and its encoding if that can be guessed.

    Windows programs write Korean as CP949; Excel's "Unicode text" is UTF-16.
    """
    with path.open("rb") as file:
        sample = file.read(1 << 20)
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in sample[:2]:
        encoding = "utf-16"
    elif _decodes(sample, "cp949", final=len(sample) < 1 << 20):
        encoding = "cp949"
    else:
        with path.open("rb") as file:
            number = next(n for n, line in enumerate(file, start=1) if not _decodes(line, "utf-8", final=True))
        return f"{path}, line {number} is not UTF-8 text; save the file as UTF-8"
    name = {"utf-16": "UTF-16", "cp949": "CP949 (EUC-KR)"}[encoding]
    command = f"iconv -f {encoding} -t utf-8 {shlex.quote(str(path))} > utf8{path.suffix}"
    return f"{path} is not UTF-8 but {name}; convert it: {command}"


def _decodes(sample: bytes, encoding: str, *, final: bool) -> bool:
    """Unless this is the `final` part, its last character may be cut in half."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample, final)
    except UnicodeDecodeError:
        return False
    return True
