"""Texts as people type them: an identifier between words that research needs.

A text remembers which of its words must go and which must stay.
"""

import random
from dataclasses import dataclass

from benchmarks.deid.identity import Kind, Persona, Token, date_spellings

# Words of protocols and descriptions; none of them is part of a made-up identifier.
WORDS = (
    "MPRAGE SAG FLAIR AXIAL CONTRAST THORAX LUNG ROUTINE ABDOMEN PORTAL VENOUS LOCALIZER "
    "T2-TSE DIXON SPINE LUMBAR KNEE BOLUS KERNEL B31F DWI B1000 EPI PHANTOM RECON 3D-TOF"
).split()

_SHORT_CHARACTERS = 16
_BESIDE_A_NAME = 4  # characters of a word that fits into SH together with a name


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text with an identity in it.

    Attributes:
        text: What is planted.
        removes: The identifiers in it.
        retains: The words around them.
    """

    text: str
    removes: tuple[Token, ...]
    retains: tuple[str, ...]


class Writer:
    """Writes texts about one person; each is another. Deterministic.

    Args:
        persona: Whom they are about (PHI, made up).
        rng: Chooses.
        study_uid: Study Instance UID, which some write into comments.
    """

    def __init__(self, persona: Persona, rng: random.Random, study_uid: str = "") -> None:
        self._persona = persona
        self._study_uid = study_uid
        self._rng = rng
        self._turn = 0
        names = [part.casefold() for part in (persona.family, persona.given)]
        self._words = [word for word in WORDS if not any(n in word.casefold() for n in names)]

    def words(self, count: int = 2) -> tuple[str, ...]:
        """Technical words; none holds a part of the name, which has to go beside them."""
        return tuple(self._rng.sample(self._words, count))

    def phrase(self, max_characters: int) -> Phrase:
        """A text with an identifier of the person.

        Args:
            max_characters: What the VR holds.
        """
        if max_characters <= _SHORT_CHARACTERS:
            return self._short(max_characters)
        texts = self._identifiers()
        while True:
            self._turn += 1
            pattern, tokens = texts[self._turn % len(texts)]
            words = self.words(3)
            text = pattern.format(*words)
            if len(text) <= max_characters:
                # A pattern of two words leaves the third out.
                return Phrase(text, tokens, tuple(word for word in words if word in text))

    def _short(self, max_characters: int) -> Phrase:
        persona = self._persona
        word = self._rng.choice([word for word in self._words if len(word) <= _BESIDE_A_NAME])
        token = Token(persona.family, Kind.NAME)
        if persona.is_common or len(persona.family) + 5 > max_characters:
            token = Token(persona.mrn, Kind.RECORD)
        return Phrase(f"{word} {token.text}"[:max_characters], (token,), (word,))

    def _identifiers(self) -> list[tuple[str, tuple[Token, ...]]]:
        persona = self._persona
        name = (Token(persona.family, Kind.NAME), Token(persona.given, Kind.NAME))
        physician, first_name = persona.physicians[self._turn % len(persona.physicians)]
        texts: list[tuple[str, tuple[Token, ...]]] = [
            (f"{{0}} {{1}} {{2}} for {spelling}", name) for spelling in persona.spellings()
        ]
        texts += [(f"{spelling} - {{0}} {{1}} {{2}}", name) for spelling in persona.spellings()]
        texts += [
            (f"{{0}} DOB {birth} {{1}} {{2}}", (Token(birth, Kind.BIRTH),))
            for birth in date_spellings(persona.birth)
        ]
        texts += [
            (f"{{0}} {{1}} done {day} {{2}}", (Token(day, Kind.DATE),))
            for day in date_spellings(persona.studied)
        ]
        singles = (
            ("{{0}} MRN {0} {{1}}", persona.mrn, Kind.RECORD),
            ("{{0}} {{1}} acc#{0}, {{2}}", persona.accession, Kind.NUMBER),
            ("{{0}} call {0} {{1}}", persona.phone, Kind.PHONE),
            ("{{0}} {{1}} {{2}} mail {0}", persona.mail, Kind.MAIL),
            ("{{0}} lives {0} {{1}}", persona.street, Kind.PLACE),
            ("{{0}} at {0} {{1}}", persona.institution.split()[0], Kind.INSTITUTION),
            ("{{0}} {{1}} on {0}", persona.serial, Kind.DEVICE),
            ("{{0}} {{1}} see Dr. {0}", physician, Kind.NAME),
            ("{{0}} {0} requested {{1}}", f"{first_name} {physician}", Kind.NAME),
        )
        texts += [(pattern.format(text), (Token(text, kind),)) for pattern, text, kind in singles]
        if self._study_uid:
            texts.append((f"{{0}} of {self._study_uid}", (Token(self._study_uid, Kind.UID),)))
        folded = persona.folded(persona.family)
        if folded != persona.family:
            texts.append((f"{{0}} for {folded} {{1}}", (Token(folded, Kind.NAME),)))
        if any(persona.ideographic):
            both = tuple(Token(part, Kind.NAME) for part in persona.ideographic)
            texts.append((f"{{0}} {{1}} {' '.join(persona.ideographic)} {{2}}", both))
            texts.append((f"{{0}} {''.join(persona.ideographic)}", both))
        return texts
