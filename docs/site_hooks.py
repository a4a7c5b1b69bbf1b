"""What the site adds to the pages, which are plain Markdown. MkDocs calls it, see .mkdocs.yml."""

import re
from typing import Any

# Weights of search results. Front matter could set them too, but GitHub would show it.
BOOST = {"options.md": 4, "glossary.md": 2, "changelog.md": 0.2}
# An option in the text of a page, not in the attributes of a tag.
OPTION = re.compile(r"""(?<=[\s>("'])--?[a-z][\w.-]*(?![^<]*>)""")
# A block of output with columns.
TABLE = re.compile(r'<div class="language-text( highlight">(?:(?!</div>).)*?\S {3,}\S)', re.DOTALL)


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Weigh a page's search results."""
    if page.file.src_uri in BOOST:
        page.meta["search"] = {"boost": BOOST[page.file.src_uri]}
    return markdown


def on_page_content(html: str, **kwargs: Any) -> str:
    """Mark options, which are not broken, and output with columns, which scrolls on phones."""
    html = TABLE.sub(r'<div class="language-text aligned\1', html)
    return OPTION.sub(r'<span class="option">\g<0></span>', html)
