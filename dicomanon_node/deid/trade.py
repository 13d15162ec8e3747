"""Words of the trade: they may be somebody's name, and identify nobody on their own.

Without them a patient called Head or Siemens would ruin every descriptor. How such a
word still counts, next to another part of the same name, is in `needles`.
"""

import re
from functools import lru_cache

from dicomanon_node.deid.standard import DicomDictionary
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
may white black young long short gray grey
adc trace delayed sharp smooth fluoro mammo supine prone feet native enhanced unenhanced thick thin
follow demo portal phase bolus tracking timing survey
tumor tumour nodule cyst fracture mass stroke edema embolism stenosis aneurysm hemorrhage ischemia
thrombus metastasis metastases carcinoma sarcoma lymphoma melanoma epilepsy dementia trauma
sacral humerus ulna radius fibula patella calcaneus heel toe toes sinus sinuses facial mastoid
bladder uterus ovary ovaries renal coronary thyroid trachea bronchus esophagus stomach pancreas
spleen gallbladder adrenal ureter rectum testis thymus pituitary brainstem cerebellum ventricle
cancer pulmonary mammography tomography proton ultrasound sonography endoscopy pathology laboratory
children childrens adult adults women womens family community county city state regional district
central northern southern eastern western oncology surgery surgical urology gynecology obstetrics
pediatrics paediatrics orthopedics orthopaedics orthopedic veterinary animal vascular
gastroenterology
rehabilitation therapy treatment ambulatory practice group associates partners services
neoplasm dialysis transplant interventional linear resonance computed laser rectal marrow joint
bypass third middle cross circle square center centre dixon haste vibe blade turbo cube propeller
lava fiesta bravo rest stress parotid frontal parietal occipital gadovist dotarem omnipaque
ultravist primovist iohexol barium saline iodine xenon late early arch valve core ring ramp gauss
boost couch star cone fast slow free breath tra lungs muscle muscles artery arteries vein veins
biopsy resection stent implant prosthesis catheter drainage ablation intervention
""".split()

# Surnames that became terms, as far as such a term names what is examined: "Smith fracture".
EPONYMS = frozenset(
    """
achilles addison alzheimer baker bankart barrett barton bell bennett boxer broca buerger caldwell
charcot chiari chopart colle colles crohn cushing down dupuytren ewing galeazzi gleason graves
harris hashimoto hill hodgkin hoffa huntington jefferson jones judet kaposi kienbock klatskin
kohler lachman lauge lisfranc maisonneuve marfan meckel meniere morton osgood paget pancoast
parkinson perthes pott reiter rolando salter segond sheehan smith stener stieda stryker swimmer
sylvian tillaux towne wagner waldenstrom water waters wegener weber wernicke wilms wilson
""".split()
)
_EPONYM_HEADS = """
aneurysm chorea contracture cyst deformity disease dislocation fracture fractures fx ligament
lesion lymphoma malformation melanosis morbus neuroma palsy phenomenon projection sarcoma sign
syndrome thyroiditis triangle tumor tumour view views
""".split()

# Words of the trade that stand behind a title as a surname sooner than as themselves.
SURNAMES = frozenset("black gray grey hand long may noble short west white young".split())

# What stands before a person. In capitals some are modalities, see `terms`.
TITLES = frozenset("dr prof mr mrs ms miss mme mlle herr frau schwester nurse doctor".split())


@lru_cache(maxsize=1)
def eponym_heads() -> frozenset[str]:
    """What makes a surname before it the name of an illness, an injury or a projection."""
    return frozenset(_EPONYM_HEADS)


@lru_cache(maxsize=1)
def trade_words() -> frozenset[str]:
    """All of them, lower case: ours, and those of the names in PS3.6 and of our labels."""
    words = set(_TRADE)
    for code in METHOD_CODES.values():
        words.update(_WORD.findall(code.meaning.lower()))
    for entry in DicomDictionary.values():
        words.update(_WORD.findall(entry[2].lower()))
    return frozenset(words)
