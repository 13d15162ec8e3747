"""All kinds of objects, by name."""

from support_classes_documents import DOCUMENTS
from support_classes_images import IMAGES
from support_classes_measures import MEASURES
from support_classes_radiotherapy import RADIOTHERAPY
from support_classes_reports import REPORTS

_ALL = (*REPORTS, *DOCUMENTS, *IMAGES, *MEASURES, *RADIOTHERAPY)
KINDS = {made.name: made for made in _ALL}
if len(KINDS) != len(_ALL):
    raise ValueError("two kinds of objects have the same name")
