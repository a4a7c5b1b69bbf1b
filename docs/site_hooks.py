"""What the site's search puts first and last. MkDocs calls it, see .mkdocs.yml."""

from typing import Any

BOOST = {"options.md": 4, "glossary.md": 2, "changelog.md": 0.2}


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Weigh a page's search results. Front matter would do it too, but GitHub shows that."""
    if page.file.src_uri in BOOST:
        page.meta["search"] = {"boost": BOOST[page.file.src_uri]}
    return markdown
