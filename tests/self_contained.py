"""What a browser would make of a page: what it fetches, what it shows without words, and its text."""

import re
from html.parser import HTMLParser


class Loads(HTMLParser):
    """Collects what a browser would fetch, and images without an alternative text."""

    def __init__(self):
        super().__init__()
        self.fetched, self.mute = [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [tag for _ in range(tag in ("link", "iframe", "object"))]
        self.fetched += [
            value
            for key, value in attrs.items()
            if key in ("src", "href", "xlink:href", "data")
            and not (value or "").startswith(("data:image/png;base64,", "#"))
        ]
        if (tag == "img" and not attrs.get("alt")) or (tag == "svg" and not attrs.get("aria-label")):
            self.mute.append(attrs)


def text_of(html):
    plain = re.sub(
        r"<[^>]+>", " ", re.sub(r"<style>.*?</style>|<script.*?</script>|<svg.*?</svg>", "", html, flags=re.DOTALL)
    )
    return re.sub(r"\s+", " ", plain)
