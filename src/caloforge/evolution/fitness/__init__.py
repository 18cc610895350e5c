"""How near the showers of many generators are to Geant4's: smaller is better."""
