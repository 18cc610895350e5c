"""Networks and trees that try to tell a candidate's showers from Geant4's, by the published recipes."""
