"""The ledger: a receipt for every instance, and what became of it afterwards.

    receiver, courier --append--> journal --recorder--> ledger.sqlite --> receipts, audit, ...

A process that knows something appends a record to a journal of its own
(`<spool>/journal/`, one write a record) and goes on. One process, the recorder, reads the
journals and writes the ledger, in batches; where it has read to is written in the same
transaction, so each record counts exactly once whoever is killed when. Whoever wants to
know what happened reads the ledger and asks no process.

    records    what a record is: `Stored`, `Refusal`, `Delivery`, `Note`
    journal    `Journal.append(record)`; a file per process
    reading    what the recorder reads of journals
    schema     the tables and their versions
    store      `Ledger.open(url)`, `.ingest(batch)`, `.expire(before)`
    queries    `Receipts(engine)`: `.find(Wanted(...))`, `.count(...)`, `.notes(...)`
    outbox     what is to be told to the audit
    origins    keyed hashes of original UIDs
    recorder   the loop of the recorder

Nothing of it identifies: UIDs are new ones, original UIDs are keyed hashes, AE titles have
been judged. What can undo a pseudonym is in the crosswalk alone, encrypted, if there is one.
This room answers nobody, and no object waits for it but for one write.
"""
