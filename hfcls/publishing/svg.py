"""A figure as an element of a page."""

import re

BETWEEN_LANGUAGES = "\u00a0/\u00a0"  # no-break spaces, since the name of a class may hold a slash


def inline_svg(svg: str, name: str) -> str:
    """A matplotlib SVG as an element of a page: sized by the page, one of two languages at a time, ids under `name`."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # axes_1 and the like
    svg = re.sub(
        "<[^>]*>", lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", tag[0]), svg
    )  # markers, clips
    languages = r'<text lang="ko"\1>\2</text><text lang="en"\1>\3</text>'
    return re.sub(rf"<text([^>]*)>([^<]*?){BETWEEN_LANGUAGES}([^<]*)</text>", languages, svg)
