"""A header as it is written: the original's top level with what is changed, added or gone.

Runs of kept elements are slices of the input; insertions replace what has their tag.
What becomes of each element is the rewriter's to say.
"""

from collections.abc import Mapping

from dicomanon_node.deid.elements import Elements, header_reader
from dicomanon_node.deid.plan import CHECKED, KEPT
from dicomanon_node.deid.rewrite import Rewriter
from dicomanon_node.errors import Reason, Refused

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
MANDATORY_UIDS = (_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID)

# What an output file may be named by; all of them de-identified values.
NAMING_TAGS = {
    _SOP_CLASS_UID: "SOPClassUID",
    _SOP_INSTANCE_UID: "SOPInstanceUID",
    0x00080060: "Modality",
    0x00100020: "PatientID",
    _STUDY_INSTANCE_UID: "StudyInstanceUID",
    _SERIES_INSTANCE_UID: "SeriesInstanceUID",
    0x00200011: "SeriesNumber",
    0x00200013: "InstanceNumber",
}


# Private names and sequences are looked into for whom they name, also where all goes.
_NAMING_VRS = ("PN", "SQ")
# Above every tag.
_NO_TAG = 1 << 32


class Writing:
    """One header being written. Not thread-safe.

    Args:
        rewriter: Decides about each element.
        elements: The original's top-level elements (PHI).
        insertions: Encoded elements by tag, put in or in the place of the original's.

    Attributes:
        changes: Where the original's elements that were removed or replaced begin and end.
    """

    def __init__(
        self, rewriter: Rewriter, elements: Elements, insertions: Mapping[int, bytes]
    ) -> None:
        self._rewriter = rewriter
        self._elements = elements
        self._insertions = insertions
        self._replaced: dict[int, bytes] = dict(insertions)
        # A number stands for the insertion with that tag.
        self._parts: list[bytes | int] = []
        self.changes: list[tuple[int, int]] = []
        self._shortcuts = self._unsuspected(rewriter)
        self._rewrite()

    def _unsuspected(self, rewriter: Rewriter) -> Mapping[tuple[int, str], bytes]:
        # With suspects, all others are done with as if there were no guard.
        guard, suspects = rewriter.guard, rewriter.suspects
        if guard is not None and suspects is not None:
            rewriter.guard = None
        shortcuts = rewriter.shortcuts(nested=False, implicit=self._elements.implicit)
        rewriter.guard = guard
        if not suspects:
            return shortcuts
        return {key: new for key, new in shortcuts.items() if key[0] not in suspects}

    def _rewrite(self) -> None:  # noqa: C901, PLR0912, PLR0915  (one loop, kept flat for speed)
        rewriter, parts, changes = self._rewriter, self._parts, self.changes
        buffer, implicit = self._elements.buffer, self._elements.implicit
        shortcuts = self._shortcuts
        drops_private = rewriter.drops_private
        checked = rewriter.plan.checked
        guard, suspects = rewriter.guard, rewriter.suspects
        wanted = sorted(self._insertions, reverse=True)
        next_tag = wanted.pop() if wanted else _NO_TAG
        # Bytes before the first and behind the last row are no element that anybody has judged.
        rows = self._elements.rows
        run = skip_until = rows[0][2] if rows else 0
        size = rows[-1][5] if rows else 0
        for tag, vr, start, value, end, stop in rows:
            if start < skip_until:
                continue  # a private group is rewritten as one
            while tag >= next_tag:
                if run < start:
                    parts.append(buffer[run:start])
                    run = start
                parts.append(next_tag)
                next_tag = wanted.pop() if wanted else _NO_TAG
            new = shortcuts.get((tag, vr)) if stop == end else None
            after = stop
            if new is KEPT or (new and value == end):
                continue
            if suspects is not None:
                rewriter.guard = guard if tag in suspects or tag >> 16 in suspects else None
            if new is CHECKED:
                if buffer[value:end] in checked:
                    continue
                new = None
            if new is None:
                if tag & 0x10000 and drops_private:
                    new = b""
                    if vr in _NAMING_VRS:
                        rewriter.forget_private(tag, vr, value, stop)
                elif tag in self._insertions:
                    new = b""
                else:
                    new, skip_until = rewriter.element(
                        tag, vr, start, value, stop if stop == end else None, size, implicit, 0
                    )
                    if new is None:
                        continue
                    after = skip_until
                    if tag in NAMING_TAGS:
                        self._replaced[tag] = new
            changes.append((start, after))
            if run < start:
                parts.append(buffer[run:start])
            if new:
                parts.append(new)
            run = after
        if run < size:
            parts.append(buffer[run:size])
        while next_tag != _NO_TAG:
            parts.append(next_tag)
            next_tag = wanted.pop() if wanted else _NO_TAG
        rewriter.guard = guard
        rewriter.count(len(rows))

    def written(self) -> bytes:
        """All of it."""
        insertions = self._insertions
        return b"".join(
            [part if isinstance(part, bytes) else insertions[part] for part in self._parts]
        )

    def names(self) -> dict[str, str]:
        """What was written of the attributes that name an object.

        Raises:
            Refused: ACTION_FAILED if a mandatory UID is not among them.
        """
        names = {}
        for tag, keyword in NAMING_TAGS.items():
            name = self._name(tag)
            if not name and tag in MANDATORY_UIDS:
                raise Refused(Reason.ACTION_FAILED, tag)
            names[keyword] = name
        return names

    def _name(self, tag: int) -> str:
        elements = self._elements
        new = self._replaced.get(tag)
        if new is None:
            row = elements.row(tag)
            new = self._shortcuts.get((tag, row[1]), KEPT) if row else b""
        if new is KEPT or new is CHECKED:
            return elements.ascii(tag)
        if not new:
            return ""
        _, _, value, _ = header_reader(implicit=elements.implicit)(new, 0, len(new))
        return new[value:].decode("ascii", "replace").strip(" \0")
