"""What every product says of itself: what it is not, which edition, whether it is invented."""

from __future__ import annotations

from pipeline.words.catalogue import languages, say


def notices(lang: str, simulated: bool) -> list[str]:
    """Return what a product says of itself, in every language, its own first.

    Parameters
    ----------
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    simulated : bool
        Whether the landscape is invented.

    Returns
    -------
    list of str
        One a language.
    """
    codes = ["notices.simulated"] if simulated else []
    codes.append("notices.disclaimer")
    ordered = dict.fromkeys((lang, *languages()))
    return [" ".join(say(code, one) for code in codes) for one in ordered]


def notice(lang: str, simulated: bool, edition: str) -> str:
    """Return the same in one line, and what the edition holds.

    Parameters
    ----------
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    simulated : bool
        Whether the landscape is invented.
    edition : str
        ``public`` or ``restricted``.

    Returns
    -------
    str
        Sentences.
    """
    return " ".join([*notices(lang, simulated), say(f"editions.{edition}_note", lang)])


def marks(lang: str, simulated: bool, edition: str) -> list[str]:
    """Return the words that mark a product: that it is simulated, and its edition.

    Parameters
    ----------
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    simulated : bool
        Whether the landscape is invented.
    edition : str
        ``public`` or ``restricted``.

    Returns
    -------
    list of str
        In capitals.
    """
    codes = ["simulated", edition] if simulated else [edition]
    return [say(f"editions.{code}", lang) for code in codes]


def watermark(lang: str, simulated: bool, edition: str) -> str:
    """Return the text drawn across pictures: the marks but for the public edition's.

    Parameters
    ----------
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    simulated : bool
        Whether the landscape is invented.
    edition : str
        ``public`` or ``restricted``.

    Returns
    -------
    str
        Empty where nothing marks it.
    """
    told = marks(lang, simulated, edition)
    return " ".join(told if edition == "restricted" else told[:-1])
