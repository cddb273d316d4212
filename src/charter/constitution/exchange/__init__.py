"""Constitutions from and to the formats of other tools."""

from charter.constitution.exchange.exported import EXPORTS, Exported, export
from charter.constitution.exchange.imported import Imported, ImportOptions, Remark
from charter.constitution.exchange.importing import FORMATS, detect, import_file, import_text

__all__ = [
    "EXPORTS",
    "FORMATS",
    "Exported",
    "ImportOptions",
    "Imported",
    "Remark",
    "detect",
    "export",
    "import_file",
    "import_text",
]
