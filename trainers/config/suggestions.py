"""Suggestions of similar names for misspelt flags, subcommands, settings, data sets and values."""

import re
from collections.abc import Iterable

_MOST = 3  # names in one suggestion
_MISTAKES, _MANY_MISTAKES = 1 / 3, 2 / 5  # of the letters of a word
_SHORTEST_PART = 3  # letters of a part of a name that counts as meant for it
_BEGINNING = 2 / 3  # of the letters of a name


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return text such as " (did you mean --epochs?)" for a misspelt name, or "" if no known name is similar.

    Args:
        word: what the user typed.
        names: the known names.
    """
    *others, last = similar_names(word, names) or [""]
    return f" (did you mean {', '.join(others)}{' or ' if others else ''}{last}?)" if last else ""


def similar_names(word: str, names: Iterable[str]) -> list[str]:
    """Return up to three known names that are most similar to a misspelt name.

    The first of these rules that finds any decides: the name in another case or with other dashes; its initials, such
    as lr for learning_rate; the nearest name by spelling mistakes, of which two exchanged letters are one; names that
    begin with the word; names that have it as a part; names that are a part of it; names with the same beginning; the
    nearest name, with more mistakes.
    """
    typed = _plain(word)
    if not typed:
        return []
    plain_names = {name: _plain(name) for name in dict.fromkeys(names)}
    distances = {name: spelling_mistakes(typed, plain) for name, plain in plain_names.items()}
    fewest = min(distances.values(), default=0)

    def is_nearest(name, share):
        allowed = max(1, int(share * len(typed))) if len(typed) > 2 else 0
        return distances[name] == fewest <= allowed

    rules = (
        lambda name, plain: plain == typed,
        lambda name, plain: len(typed) > 1 and typed == "".join(part[:1] for part in _parts(plain)),
        lambda name, plain: is_nearest(name, _MISTAKES),
        lambda name, plain: len(typed) > 1 and plain.startswith(typed),
        lambda name, plain: len(typed) >= _SHORTEST_PART and any(part.startswith(typed) for part in _parts(plain)),
        lambda name, plain: set(_parts(plain)) <= set(_parts(typed)),
        lambda name, plain: any(_is_shared(part, _parts(plain)) for part in _parts(typed)),
        lambda name, plain: _same_beginning(typed, plain) > max(_SHORTEST_PART, _BEGINNING * len(plain)),
        lambda name, plain: is_nearest(name, _MANY_MISTAKES),
    )
    for rule in rules:
        if found := [name for name, plain in plain_names.items() if rule(name, plain)]:
            return sorted(found, key=lambda name: distances[name])[:_MOST]
    return []


def spelling_mistakes(word: str, name: str) -> int:
    """Return the edit distance between a word and a name, where a swap of adjacent letters counts as one edit.

    It is the optimal string alignment distance.
    """
    before_last: list[int] = []
    last = list(range(len(name) + 1))
    for i, letter in enumerate(word, start=1):
        row = [i]
        for j, other in enumerate(name, start=1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (letter != other)))
            if min(i, j) > 1 and letter == name[j - 2] and other == word[i - 2]:  # exchanged
                row[-1] = min(row[-1], before_last[j - 2] + 1)
        before_last, last = last, row
    return last[-1]


def _plain(name: str) -> str:
    """Normalise a name or flag for comparison: lower case, with words joined by underscores."""
    return re.sub(r"[-_ .]+", "_", name.strip().lower()).strip("_")


def _parts(plain: str) -> list[str]:
    return [part for part in re.split(r"_|(?<=[a-z])(?=\d)", plain) if part] or [plain]


def _same_beginning(word: str, name: str) -> int:
    """Return the length of the common prefix of two words."""
    return next(length for length in range(len(word), -1, -1) if name.startswith(word[:length]))


def _is_shared(part: str, parts: list[str]) -> bool:
    """Return whether a word matches one of several words, allowing for a few spelling mistakes."""
    return len(part) > _SHORTEST_PART and any(
        spelling_mistakes(part, other) <= len(part) * _MISTAKES / 2 for other in parts
    )
