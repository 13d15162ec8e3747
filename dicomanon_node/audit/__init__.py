"""Audit messages (PS3.15 A.5) over syslog (PS3.15 A.6 and A.7): who did what, told elsewhere.

    ledger.outbox --> messages --> syslog --> transports --> an audit record repository

    messages    what happened, as an XML document after PS3.15 A.5.1
    syslog      that as a message of RFC 5424
    transports  TLS (RFC 5425), UDP (RFC 5426) or a file
    telling     the loop: read, send, remove; again and again until it arrives

Messages hold what receipts hold: new UIDs and new Patient IDs, judged AE titles and
addresses, counts, fixed words. No object, no sender and no ledger waits for them.
"""
