"""The sets of MedMNIST: names, classes and checksums as its authors published them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fedsiege.datasets.base import registry
from fedsiege.datasets.medmnist import MedMnist
from fedsiege.errors import InvalidValue

ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


@registry.register
@dataclass(frozen=True)
class PathMnist(MedMnist):
    r"""Read PathMNIST: patches of stained colorectal tissue.

    89,996 colour pictures to train on and 7,180 to test on, in 9 classes; 10,004 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "pathmnist"
    summary = "107,180 patches of colorectal tissue"
    colours = 3
    class_names = (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "a8b06965200029087d5bd730944a56c1",
        64: "55aa9c1e0525abe5a6b9d8343a507616",
        128: "ac42d08fb904d92c244187169d1fd1d9",
        224: "2c51a510bcdc9cf8ddb2af93af1eadec",
    }


@registry.register
@dataclass(frozen=True)
class DermaMnist(MedMnist):
    r"""Read DermaMNIST: dermatoscopic photographs of pigmented skin lesions.

    7,007 colour pictures to train on and 2,005 to test on, in 7 classes; 1,003 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "dermamnist"
    summary = "10,015 photographs of skin lesions"
    colours = 3
    class_names = (
        "actinic keratoses and intraepithelial carcinoma",
        "basal cell carcinoma",
        "benign keratosis-like lesions",
        "dermatofibroma",
        "melanoma",
        "melanocytic nevi",
        "vascular lesions",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "0744692d530f8e62ec473284d019b0c7",
        64: "b70a2f5635c6199aeaa28c31d7202e1f",
        128: "2defd784463fa5243564e855ed717de1",
        224: "8974907d8e169bef5f5b96bc506ae45d",
    }


@registry.register
@dataclass(frozen=True)
class OctMnist(MedMnist):
    r"""Read OctMNIST: optical coherence tomographies of the retina.

    97,477 grey pictures to train on and 1,000 to test on, in 4 classes; 10,832 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "octmnist"
    summary = "109,309 OCT pictures of the retina"
    colours = 1
    class_names = (
        "choroidal neovascularization",
        "diabetic macular edema",
        "drusen",
        "normal",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "c68d92d5b585d8d81f7112f81e2d0842",
        64: "e229e9440236b774d9f0dfef9d07bdaf",
        128: "0a97e76651ace45c5d943ee3f65b63ae",
        224: "abc493b6d529d5de7569faaef2773ba3",
    }


@registry.register
@dataclass(frozen=True)
class PneumoniaMnist(MedMnist):
    r"""Read PneumoniaMNIST: chest X-rays of children, with pneumonia or without.

    4,708 grey pictures to train on and 624 to test on, in 2 classes; 524 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "pneumoniamnist"
    summary = "5,856 chest X-rays of children"
    colours = 1
    class_names = (
        "normal",
        "pneumonia",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "28209eda62fecd6e6a2d98b1501bb15f",
        64: "8f4eceb4ccffa70c672198ea285246c6",
        128: "05b46931834c231683c68f40c47b2971",
        224: "d6a3c71de1b945ea11211b03746c1fe1",
    }


@registry.register
@dataclass(frozen=True)
class RetinaMnist(MedMnist):
    r"""Read RetinaMNIST: fundus photographs by grade of diabetic retinopathy, as classes.

    1,080 colour pictures to train on and 400 to test on, in 5 classes; 120 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "retinamnist"
    summary = "1,600 photographs of the retina"
    colours = 3
    class_names = (
        "grade 0",
        "grade 1",
        "grade 2",
        "grade 3",
        "grade 4",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "bd4c0672f1bba3e3a89f0e4e876791e4",
        64: "afda852cc34dcda56f86ad2b2457dbcc",
        128: "e48e916a24454daf90583d4e6efb1a18",
        224: "eae7e3b6f3fcbda4ae613ebdcbe35348",
    }


@registry.register
@dataclass(frozen=True)
class BreastMnist(MedMnist):
    r"""Read BreastMNIST: breast ultrasound pictures, malignant or not.

    546 grey pictures to train on and 156 to test on, in 2 classes; 78 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "breastmnist"
    summary = "780 breast ultrasound pictures"
    colours = 1
    class_names = (
        "malignant",
        "normal, benign",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "750601b1f35ba3300ea97c75c52ff8f6",
        64: "742edef2a1fd1524b2efff4bd7ba9364",
        128: "363e4b3f8d712e9b5de15470a2aaadf1",
        224: "b56378a6eefa9fed602bb16d192d4c8b",
    }


@registry.register
@dataclass(frozen=True)
class BloodMnist(MedMnist):
    r"""Read BloodMNIST: microscope photographs of normal blood cells.

    11,959 colour pictures to train on and 3,421 to test on, in 8 classes; 1,712 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "bloodmnist"
    summary = "17,092 photographs of blood cells"
    colours = 3
    class_names = (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocyte",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "7053d0359d879ad8a5505303e11de1dc",
        64: "2b94928a2ae4916078ca51e05b6b800b",
        128: "adace1e0ed228fccda1f39692059dd4c",
        224: "b718ff6835fcbdb22ba9eacccd7b2601",
    }


@registry.register
@dataclass(frozen=True)
class TissueMnist(MedMnist):
    r"""Read TissueMNIST: microscope pictures of human kidney cortex cells.

    165,466 grey pictures to train on and 47,280 to test on, in 8 classes; 23,640 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "tissuemnist"
    summary = "236,386 kidney cortex cells"
    colours = 1
    class_names = (
        "Collecting Duct, Connecting Tubule",
        "Distal Convoluted Tubule",
        "Glomerular endothelial cells",
        "Interstitial endothelial cells",
        "Leukocytes",
        "Podocytes",
        "Proximal Tubule Segments",
        "Thick Ascending Limb",
    )
    md5: ClassVar[dict[int, str]] = {
        28: "ebe78ee8b05294063de985d821c1c34b",
        64: "123ece2eba09d0aa5d698fda57103344",
        128: "61b955355d7425a89687b06cca3ce0c2",
        224: "b077128c4a949f0a4eb01517f9037b9c",
    }


@registry.register
@dataclass(frozen=True)
class OrganaMnist(MedMnist):
    r"""Read OrganaMNIST: organs in axial slices of abdominal CT.

    34,561 grey pictures to train on and 17,778 to test on, in 11 classes; 6,491 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "organamnist"
    summary = "58,830 axial slices of abdominal CT"
    colours = 1
    class_names = ORGANS
    md5: ClassVar[dict[int, str]] = {
        28: "68e3f8846a6bd62f0c9bf841c0d9eacc",
        64: "2dcccc29b88e6da5a01161ef20cda288",
        128: "eeae80d0a227a8d099027e1b3cfd3b60",
        224: "50747347e05c87dd3aaf92c49f9f3170",
    }


@registry.register
@dataclass(frozen=True)
class OrgancMnist(MedMnist):
    r"""Read OrgancMNIST: organs in coronal slices of abdominal CT.

    12,975 grey pictures to train on and 8,216 to test on, in 11 classes; 2,392 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "organcmnist"
    summary = "23,583 coronal slices of abdominal CT"
    colours = 1
    class_names = ORGANS
    md5: ClassVar[dict[int, str]] = {
        28: "b9ceb9546e10131b32923c5bbeaea2b1",
        64: "3ce34a8724ea6f548e6db4744d03b6a9",
        128: "773c1f009daa3fe5d9a2a201b2a7ed94",
        224: "050f5e875dc056f6768abf94ec9995d1",
    }


@registry.register
@dataclass(frozen=True)
class OrgansMnist(MedMnist):
    r"""Read OrgansMNIST: organs in sagittal slices of abdominal CT.

    13,932 grey pictures to train on and 8,827 to test on, in 11 classes; 2,452 more
    for validation are not used.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023; the files of `MedMNIST+ <https://doi.org/10.5281/zenodo.10519652>`_.
    """

    name = "organsmnist"
    summary = "25,211 sagittal slices of abdominal CT"
    colours = 1
    class_names = ORGANS
    md5: ClassVar[dict[int, str]] = {
        28: "9ab87b696fb54e2a387ebe992d6ed5f1",
        64: "53a6d115339d874c25e309a994ff46d3",
        128: "ded0c5fa01a95dc4978b956f613e9b8e",
        224: "b354719e553fbbb2513d5533f52a4cb1",
    }


@registry.register
@dataclass(frozen=True)
class ChestMnist(MedMnist):
    r"""Refuse ChestMNIST, whose pictures have several labels each.

    A federation here trains classifiers: one class for each picture, by the cross entropy
    :math:`-\log p_y`.

    Source:
        Jiancheng Yang et al., `MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
        biomedical image classification <https://doi.org/10.1038/s41597-022-01721-8>`_, Scientific
        Data 10, 2023.
    """

    name = "chestmnist"
    summary = "not possible: its pictures have several labels each"
    md5: ClassVar[dict[int, str]] = {28: "02c8a6516a18b556561a56cbdd36c4a8"}
    class_names = ("finding", "no finding")

    def obtain(self, root: Path, limit_s: float = 0.0) -> None:
        """Raise InvalidValue."""
        allowed = "a data set with one label for each picture; ChestMNIST has up to 14"
        raise InvalidValue("dataset", self.name, allowed)
