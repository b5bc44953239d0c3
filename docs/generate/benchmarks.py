"""Tables of Testing/Benchmarks/results/*.json in the place of the links to them."""

from __future__ import annotations

import re

from results import markdown_table, read_results

LINK = re.compile(r"^\[[^\]]*\]\((?:\.\./)+Testing/Benchmarks/results/([a-z0-9-]+)\.json\)$", re.MULTILINE)
"""A line that is nothing but a link to a result file: read in a checkout it leads to the file."""


def with_tables(markdown: str) -> str:
    """Return `markdown` with every linked result as a table. Raises KeyError for a result that does not exist."""
    if not LINK.search(markdown):
        return markdown
    results = read_results()
    return LINK.sub(lambda match: markdown_table(results[match.group(1)]), markdown)


def unused(markdown: str) -> list[str]:
    """Return the names of the results that `markdown` does not link to."""
    return sorted(set(read_results()) - set(LINK.findall(markdown)))
