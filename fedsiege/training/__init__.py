"""Local training of participants, evaluation of a model, and the training of base models.

- base.py        the samples of a participant, their order, the interface of a trainer
- loop.py        the trainer that trains one participant after the other
- cohort/        the trainer that trains many participants in one computation
- choice.py      the choice between the two trainers
- optimiser.py   SGD and Adam
- hosted.py      the training of the participants that one worker hosts
- evaluation.py  the test of a model on held-out samples
- classifier.py  the training of base models, as for the shipped checkpoints
"""
