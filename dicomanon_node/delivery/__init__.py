"""Delivery: what is queued goes out, and nothing is deleted before it has arrived.

    courier    one process; a lane for each destination, so that none waits for another
    lane       the loop of one destination; more associations while that helps
    backlog    what one destination still has to get; all its associations take from it
    observing  what is told of deliveries, for the log and for receipts
    carrier    one association at work: take, send, report the answer
    queue      the queue's directories: waiting, failed with a reason beside
    suspicion  whose fault it is when associations break: an instance's or the destination's
    backoff    how long until the next attempt
    transport  what a kind of destination has to do; `dicom` and `folder` do it
    doorbell   wakes the courier when something was queued
    files      names on a medium: durable, and never at the cost of another's file

An instance leaves the queue in one of two ways: unlinked after the destination has
taken it, or moved to failed/. A process killed in between sends it once more, which
is harmless: same in, same out. This package reads no configuration file and logs
nothing; facts go to a callback.
"""
