"""Run directories to one self-contained HTML page. Reads files only."""

from charter.reporting.html import render_html, write_report
from charter.reporting.read import parse_report, read_report

__all__ = ["parse_report", "read_report", "render_html", "write_report"]
