"""What operators see: log events, their reference, counts by study.

Nothing here decides about an object, and nothing here is needed for one to be
handled correctly.
"""
