"""Sets that come with FedSiege's shared data, for development; they are published nowhere else."""

from dataclasses import dataclass

from fedsiege.datasets.base import Published, registry
from fedsiege.datasets.medmnist import NpzPictures
from fedsiege.inputs import Image

CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@registry.register
@dataclass(frozen=True)
class Bccd(NpzPictures):
    r"""Read blood cells cut out of photographs: red cells, white cells and platelets.

    3,493 colour pictures of 28x28 to train on and 933 to test on; 460 more for validation are not
    used. The parts are split by photograph. Most are red cells: 2,982 to train on, against 260
    white cells and 251 platelets. A model takes a grey level :math:`p` as
    :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says otherwise.

    Source:
        Shenggan et al., `BCCD Dataset <https://github.com/Shenggan/BCCD_Dataset>`_, 2017, MIT
        licence: the photographs with their boxes.
    """

    name = "bccd"
    summary = "4,886 blood cells in colour, 28x28, of 3 classes"
    class_names = ("red cell", "white cell", "platelet")

    @property
    def stored(self) -> Image:
        """Colour pictures of 28x28."""
        return Image(3, 28, 28, 3)

    @property
    def published(self) -> tuple[Published, ...]:
        """The file in the shared data."""
        source = "the shared data of the project, cut out of github.com/Shenggan/BCCD_Dataset"
        return (Published("medmnist/bccd.npz", source, "c15d0ca1929e31d817800153ee7ad6ed"),)


@registry.register
@dataclass(frozen=True)
class Cifar10Part(NpzPictures):
    r"""Read a fifth of CIFAR-10 whose pictures went through JPEG, for development.

    10,000 pictures of 32x32 to train on and 2,500 to test on, as many of each class. They are no
    substitute for ``cifar10``: there are fewer, and they were compressed. A model takes a grey
    level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says otherwise.

    Source:
        Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of
        Toronto, 2009; the data set `CIFAR-10 <https://doi.org/10.24432/C5889J>`_.
    """

    name = "cifar10-part"
    summary = "12,500 pictures of CIFAR-10, re-encoded from JPEG: for development"
    class_names = CIFAR10
    notes = (
        "DATASET=cifar10-part is a fifth of CIFAR-10, re-encoded from JPEG: its accuracies are not "
        "those of CIFAR-10",
    )

    @property
    def stored(self) -> Image:
        """Colour pictures of 32x32."""
        return Image(3, 32, 32, 10)

    @property
    def published(self) -> tuple[Published, ...]:
        """The file in the shared data."""
        source = "the shared data of the project"
        return (Published("images/cifar10-part.npz", source, "0f9b3cf5163916b58c2fd54fd157c48a"),)
