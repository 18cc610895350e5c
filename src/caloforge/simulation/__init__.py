"""Using a generator: whole events and their digits, and fast simulation inside Geant4."""
