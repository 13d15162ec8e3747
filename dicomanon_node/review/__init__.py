"""Shows what the program does: to one object, to a study, to every attribute.

Asks the same engine that receives, and writes nothing of an object anywhere.
"""
