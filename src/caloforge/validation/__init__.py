"""How far a generator can be trusted: distances, classifiers and the report, beside Geant4's own floor."""
