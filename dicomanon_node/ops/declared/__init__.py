"""What each room tells: its log events, each declared once.

A module a room, which declares a tuple of events in the order of the reference. What is
told of an event and its keys is in `declaring`; `events` puts the rooms together.
"""
