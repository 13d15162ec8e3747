"""What follows when a study is complete, and when its time in outgoing is over.

    ledger (studies) --watch--> completion --teller--> log, command, webhook
                                    `----studylist---> a file that says what is where
    ledger (receipts) --retention--> outgoing without what is old and delivered

A process of its own does this (`node.finishing`) and nobody waits for it: no sender, no
delivery, not the recorder. All it knows is in the ledger's database, so that it may be
killed at any moment: what was told may be told again, what was to be told is told.

    freshness   since when the ledger knows everything
    watch       which studies are complete
    facts       what is told of one: new identifiers, counts, where it is
    command, webhook   how it is told; `teller` tells, and tries again
    studylist   the list of complete studies, of the form of SPL's
    retention   removes from outgoing what nobody needs any more

Nothing here reads an object but `studylist`, which reads two de-identified elements.
"""
