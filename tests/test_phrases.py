"""Phrases that readers stumble over, and what to write instead."""

import re

import pytest

from tests.conftest import REPOSITORY

# What must not come back, as a pattern, and what to write.
PHRASES = {
    r"\bone's own\b|\b[a-z]+ of (one's|your) own\b": "your ..., a custom ...",
    r"\b(go|goes|went|gone|going) on (with|from|as|where)\b": "continue, resume",
    r"\b(is|are|become) no numbers?\b": "NaN or infinite",
    r"\b(is|are) none\b|\b(that|which) (is|are) no [a-z]+\b": "is not valid, is not a ...",
    r"\bmay know\b": "may import",
    r"\b(is|are|be) told\b|\btold otherwise\b": "receives, reads, unless ... is given",
    r"\b[Hh]eld out\b": "the validation set, for validation",
    r"\bbeats?\b": "overrides",
    r"\bwhat came of\b|\b(it|training|test|validation) came to\b": "the results of",
    r"\b[Ww]hat there is\b": "the files in, what exists",
    r"\b[Ii]t holds until\b": "Revisit when",
    r"\b[Gg]rey\b|(?<![\".])\b[Cc]olour": "gray, color",  # data.colour is an old option
    r"\b(normal|recogn|initial|serial|optim|organ|visual)is(e|ed|es|ing|ation)\b": "-ize",
    r"\b(behavi|neighb|fav)our|\bcentre\b|\bspelt\b": "American spelling",
    r"\b(such|[Ll]ogged|that|all|whose|training|validation|epoch's) figures?\b|"
    r"\b(a|the) figure (that|is|has|of|stops)\b": "metric",
    r"\b[Tt]he rate\b": "the learning rate",
    r"\blet alone\b": "and not",
    r"\basked for\b": "given, chosen, set",
    r"\bso many\b": "this many, num_...",
    r"\b[Hh]ush": "filter",
    r"\bsays? (so|of|which|that|how|what|where)\b": "reports, names, shows",
    r"(?<![Ss]tandard)(?<![\s-])[\s-]+deviation\b": "standard deviation",
    r"\bas far as (it|there|they)\b": "if, where",
    r"\bafresh\b|\banew\b": "from the start, again",
    r"\bwithout a word\b": "silently",
    r"\bin the place of\b": "instead of",
    r"\bat hand\b": "available",
    r"\bby heart\b": "overfits, memorizes",
    r"\b(is|are) to be (had|reached|given)\b": "is available, the target is, must be given",
    r"\b(has|have) it so\b": "does",
    r"\bwho wins\b": "precedence",
}
NOT_READ = {"docs/changelog.md"}  # what was written when it was new


def pages() -> list:
    """List the files whose words users and contributors read."""
    found = [REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")]
    found += [*REPOSITORY.glob("configs/*.yaml"), *REPOSITORY.glob("lenet/**/*.py")]
    return sorted(str(path.relative_to(REPOSITORY)) for path in found)


@pytest.mark.parametrize("page", pages())
def test_no_phrase_makes_readers_stumble(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = []
    for pattern, instead in PHRASES.items() if page not in NOT_READ else ():
        for match in re.finditer(pattern, text):
            line = text[: match.start()].count("\n") + 1
            found.append(f"{page}:{line}: {match[0]!r}: write {instead}")
    assert not found, "\n".join(found)
