"""The science of the siege: models, training, attacks, rules. Tensors in, tensors out."""

from fedsiege import torchvision_import

torchvision_import.hook()
