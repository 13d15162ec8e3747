"""Words of the trade: they may be somebody's name, and identify nobody on their own.

Without them a patient called Head or Siemens would ruin every descriptor. How such a
word still counts, next to another part of the same name, is in `needles`.
"""

import re
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary

from dicomanon_node.deid.table import METHOD_CODES

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)

# Words of the trade beyond the attribute names of PS3.6: body parts, protocols, makers,
# names of test objects.
_TRADE = """
dicomanon rules annotation burned removed
abd abdo abdomen ankle ant anterior aorta arm art arterial axial ax base body bone brain
breast cardiac carotid cerebral cervical chest clinic colon contrast cor coronal cranial cta
dental diffusion dwi elbow epi fat femur finger flair fmri foot forearm gre hand head heart
hip hospital hosp img infant kidney knee lat left leg liver loc localizer lower lumbar lung
med medical mra mri neck neuro obl ortho patient pediatric pelvis perfusion pet phantom post
prostate pre protocol qa qc radiology recon res resting rib right routine sag sagittal scan
scout shoulder skull spine spect std study survey swi test testing tibia thorax thoracic tof
trauma upper unknown venous vessel view wrist xray anon anonymous anonymized name none
volunteer service quality control university department street road
research clinical imaging image diagnostic diagnostics health healthcare center centre
medicine nuclear national institute general memorial saint college school foundation science
south north east west avenue trial protocol intensive care outpatient inpatient emergency
healthineers systems ohif orthanc dcmtk pydicom gdcm osirix
agfa bruker canon carestream elekta esaote fuji fujifilm hitachi hologic kodak konica mindray
minolta philips picker samsung shimadzu siemens toshiba varian
primary secondary original derived mosaic dicom image neurology cardiology
headneck cspine tspine lspine sspine ctspine tlspine lsspine wholebody upperarm lowerleg upperleg
jaw clavicle coccyx sacrum scapula sternum zygoma iac orbit sella mandible maxilla
""".split()


@lru_cache(maxsize=1)
def trade_words() -> frozenset[str]:
    """All of them, lower case: ours, and those of the names in PS3.6 and of our labels."""
    words = set(_TRADE)
    for code in METHOD_CODES.values():
        words.update(_WORD.findall(code.meaning.lower()))
    for entry in DicomDictionary.values():
        words.update(_WORD.findall(entry[2].lower()))
    return frozenset(words)
