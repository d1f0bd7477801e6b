"""How the files of a command are read, where the files themselves do not tell."""

from dataclasses import dataclass
from typing import Literal

from hfcls.config.options import Config, option


@dataclass(kw_only=True)
class ReadingConfig(Config):
    """How files are read."""

    delimiter: str | None = option(None, "between the fields of csv, tsv, txt files (default: detected from the file)")
    encoding: str | None = option(None, "of text files, such as cp949 (default: detected from the file)")
    quoting: Literal["csv", "backslash", "none"] | None = option(
        None, "of csv, tsv and txt files: csv doubles a quote inside quotes (default: detected from the file)"
    )
    no_header: bool = option(False, "csv, tsv, txt and Excel files begin with a row; columns are called 1, 2, ...")
    sheet: str | None = option(None, "of an Excel file (default: the first)")
