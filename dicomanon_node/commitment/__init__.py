"""Storage Commitment Push Model SCP (PS3.4 J): what is promised, and how it is kept.

    N-ACTION-RQ --intake--> spool/commitment/<id>.request      durable, then 0000H
                            <id>.answer      <--answering--    from the ledger's receipts
    N-EVENT-REPORT-RQ <--  the association of the request, while it lasts (`intake`)
                       <-- or one of our own, again and again (`reporting`)

    information   the two data sets: Action Information in, Event Information out
    transactions  the directory: sealed requests, answers, who is at work on one
    intake        what a receiver does with a request
    answering     which instances are committed
    reporting     the loop of the process that answers and reports

Requests name original SOP Instance UIDs, and so must the reports: on the disk they are
encrypted under a key derived from the node's, and gone once the report has arrived.
"""
