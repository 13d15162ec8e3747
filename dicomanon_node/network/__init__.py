"""DICOM networking: pynetdicom as the protocol engine, specialised in one place."""
