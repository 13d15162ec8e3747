"""What identifies although Table E.1-1 does not list it: the floor under the profile.

The table lists attributes of the standard as it was when somebody looked through it;
an attribute that is missing there is judged by what it is and by its VR.
"""

# UI attributes that name a class, a syntax or a vocabulary, never an instance: they are
# not identifying and an object whose class is replaced is unreadable (PS3.6 Table A-1).
CLASS_UID_TAGS = frozenset(
    {
        0x00080016,  # SOP Class UID
        0x0008001A,  # Related General SOP Class UID
        0x0008001B,  # Original Specialized SOP Class UID
        0x00080062,  # SOP Classes in Study
        0x0008010C,  # Coding Scheme UID
        0x00080117,  # Context UID
        0x00080118,  # Mapping Resource UID
        0x0008040E,  # Stored Instance Transfer Syntax UID
        0x00081150,  # Referenced SOP Class UID
        0x0008115A,  # SOP Classes Supported
        0x00083002,  # Available Transfer Syntax UID
        0x00340003,  # Flow Transfer Syntax UID
        0x04000010,  # MAC Calculation Transfer Syntax UID
        0x04000510,  # Encrypted Content Transfer Syntax UID
        0x30100052,  # Pertinent SOP Classes in Study
        0x30100053,  # Pertinent SOP Classes in Series
    }
)

TEMPORAL_VRS = frozenset({"DA", "DT", "TM"})
# VRs whose every value is taken for identifying where the table does not list it.
IDENTIFYING_VRS = TEMPORAL_VRS | {"AE", "PN", "UI", "UR"}

# Attributes that identify and that Table E.1-1 (2026d) does not list.
IDENTIFYING_TAGS = frozenset(
    {
        0x00100033,  # Patient's Birth Date in Alternative Calendar
        0x00100034,  # Patient's Death Date in Alternative Calendar
        0x00102295,  # Breed Registration Number
        0x00181003,  # Device ID
        0x00181803,  # NTP Source Address
        0x00401006,  # Placer Order Number / Procedure (retired)
        0x00401007,  # Filler Order Number / Procedure (retired)
        0x04000500,  # Encrypted Attributes Sequence: somebody else's originals
        0x0040A992,  # Uniform Resource Locator (Trial)
        0x0040E001,  # HL7 Instance Identifier
        0x00720008,  # Hanging Protocol Creator
        0x0074100C,  # Contact Display Name
        0x21000160,  # Owner ID
        0x4010101A,  # Boarding Pass ID
    }
)
# Free text that people fill in and that the table does not list: cleaned like descriptors.
SPEAKING_TAGS = frozenset(
    {
        0x00380102,  # Resource Description
        0x00400400,  # Comments on the Scheduled Procedure Step
        0x0040A160,  # Text Value
        0x00420010,  # Document Title
        0x01000424,  # SOP Authorization Comment
        0x30020004,  # RT Image Description
        0x30040006,  # Dose Comment
    }
)

# Text that is a code or a name of a product: what looks like a date in it is none.
VERBATIM_TAGS = frozenset(
    {
        0x00080070,  # Manufacturer
        0x00080100,  # Code Value
        0x00080102,  # Coding Scheme Designator
        0x00080103,  # Coding Scheme Version
        0x00080112,  # Coding Scheme Registry
        0x00080114,  # Coding Scheme External ID
        0x00080115,  # Coding Scheme Name
        0x00080116,  # Coding Scheme Responsible Organization
        0x00080119,  # Long Code Value
        0x00081090,  # Manufacturer's Model Name
        0x00181020,  # Software Versions
    }
)
# Sequences whose items are content items: names with values (PS3.3 10.2, C.17.3).
CONTENT_TAGS = frozenset(
    {
        0x00400440,  # Protocol Context Sequence
        0x00400441,  # Content Item Modifier Sequence
        0x00400555,  # Acquisition Context Sequence
        0x00400612,  # Specimen Preparation Step Content Item Sequence
        0x0040A730,  # Content Sequence
    }
)
