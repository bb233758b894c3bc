"""The science of the siege: models, training, attacks, rules. Tensors in, tensors out."""
