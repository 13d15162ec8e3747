"""What sorts of identifiers there are, and what they come as."""

from enum import IntEnum, auto


class Kind(IntEnum):
    """What sort of identifier a value is. Numbers, because they are hashed all the time."""

    OWN_NAME = auto()  # the patient's name
    OWN_NUMBER = auto()  # the patient's number
    NAME = auto()  # another person's name, VR PN
    PATIENT = auto()  # another number of the patient
    NUMBER = auto()  # another number
    STATION = auto()  # a device, by its name
    PLACE = auto()  # an institution, a room or an address
    DATE = auto()  # the birth date
    EVENT = auto()  # a day on which something was done


# (kind, encoded value, Specific Character Set)
Source = tuple[Kind, bytes, bytes]
