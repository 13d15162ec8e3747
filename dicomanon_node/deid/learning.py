"""What an object says of whom it is about, remembered while it is rewritten.

Where an identifier is removed, replaced or kept on purpose it is noted down; what is
looked for afterwards, and where, is said in `identity` and `leaks`.
"""

from dicomanon_node.deid import dictionary, structured
from dicomanon_node.deid.elements import is_implicit_content, leaves
from dicomanon_node.deid.floor import CLASS_UID_TAGS
from dicomanon_node.deid.guard import Guard
from dicomanon_node.deid.identity import SOURCE_TAGS, Identity, Role

_EXPLICIT_NAME = b"PN"


class Learning:
    """The part of a `Rewriter` that learns. Its attributes are told there."""

    __slots__ = ("buffer", "character_set", "guard", "learned", "product")

    buffer: bytes
    character_set: bytes
    guard: Guard | None
    learned: Identity
    product: bytes

    def note_uid(self, original: bytes, new: bytes) -> None:
        """A UID has been replaced, or would have been, had it not stayed the same."""
        self.learned.add_uid(original, new)

    def note_patient(self, original: bytes, new: bytes) -> None:
        """A Patient ID has been replaced."""

    def learn(self, tag: int, vr: str, raw: bytes, role: Role) -> None:
        """Remember a value if it identifies, unless all of the object is known already."""
        if self.guard is not None:
            return
        # A name is a name, also where the object calls it a text.
        if vr == "PN" or dictionary.vr_of(tag) == "PN":
            self.learned.add(tag, "PN", raw, self.character_set, role)
        elif tag in SOURCE_TAGS:
            self.learned.add(tag, vr, raw, self.character_set, role)

    def forget(self, tag: int, vr: str, raw: bytes) -> None:
        """Remember what must not be found any more of a value that goes."""
        self.learn(tag, vr, raw, Role.SOUGHT)
        if vr == "UI" and tag not in CLASS_UID_TAGS:
            for uid in raw.split(b"\\"):
                self.learned.add_uid(uid)

    def forget_private(self, tag: int, vr: str, value: int, after: int) -> None:
        """Remember whom a private element names that goes, and those in its items."""
        if vr == "PN":
            self._learn_private_name(tag, self.buffer[value:after])
        elif vr == "SQ" and _EXPLICIT_NAME in self.buffer[value:after]:
            for inner, inner_vr, start, end in leaves(self.buffer, value, after, implicit=False):
                if inner_vr == "PN":
                    self._learn_private_name(inner, self.buffer[start:end])

    def _learn_private_name(self, tag: int, raw: bytes) -> None:
        # Makers sign with the name of the product.
        if raw.strip(b" \0^").lower() != self.product:
            self.learn(tag, "PN", raw, Role.SOUGHT)

    def forget_items(self, span: structured.Span) -> None:
        """Remember what must not be found any more of a sequence that goes."""
        implicit = is_implicit_content(span.encoded_vr, implicit=span.implicit)
        for tag, vr, value, end in leaves(self.buffer, span.value, span.after, implicit=implicit):
            self.forget(tag, vr, self.buffer[value:end])
