"""What axe-core finds on a page of a browser."""

from typing import Any

import pytest


def serious_violations(page: Any) -> list[str]:
    """The rules that a page breaks seriously or critically, each with the elements that do; contrast is among them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} ({node['failureSummary'][:300]})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
