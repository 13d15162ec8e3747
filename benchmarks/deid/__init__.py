"""The de-identification benchmark: plant an identity, de-identify, look for it.

Plants seeded, made-up identities in real vendor files, writes an answer key in the form
of the MIDI-B challenge, runs de-identifiers over the planted files and scores what they
wrote. Knows nothing of how the node decides: what is expected comes from the tables of
PS3.15 Annex E and from what was planted. `docs/bench-deid.md` says how to read it.
"""
