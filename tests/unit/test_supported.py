"""What can be stored is what pynetdicom knows as storage."""

from pynetdicom.presentation import AllStoragePresentationContexts, StoragePresentationContexts

from dicomanon_node.network.supported import STORAGE_SOP_CLASSES


def test_the_storage_classes_are_those_of_pynetdicom() -> None:
    # The first list is every class of PS3.4 B.5, the second adds retired ones still in use.
    contexts = (*AllStoragePresentationContexts, *StoragePresentationContexts)
    assert {str(context.abstract_syntax) for context in contexts} == STORAGE_SOP_CLASSES
