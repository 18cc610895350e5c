"""How much light of a scintillator is left by Birks' law, with true lengths of steps and with caloforge's.

    python benchmarks/saturation.py --particle e- --energy 10000 --count 20

Needs geant4_pybind (0.1.3), which knows the true length of each step, and Geant4's data files by their own
variables (G4LEDATA, ...). The stack is 40 times 20 mm of iron and 5 mm of polystyrene, kB = 0.126 mm/MeV.
True lengths go into the formula of G4EmSaturation; the other lines see both ends of each step only.
"""

from __future__ import annotations

import argparse
from typing import Any

import geant4_pybind as g4
import numpy as np

from caloforge.detector import Detector
from caloforge.truth.visible import seen_in_slabs

KB = 0.126  # mm/MeV
SCINTILLATOR = "G4_POLYSTYRENE"
STEP = np.dtype(
    [("pid", "i4"), ("energy", "f8"), ("value", "f8"), ("start", "f8", 3), ("end", "f8", 3), ("length", "f8")]
)
LAYER = f"""
name: scintillator
shape: planar
size: [1 m, 1 m]
stack: [{{slabs: [{{material: {SCINTILLATOR}, thickness: 5 mm, active: true, birks: {KB} mm/MeV}}]}}]
readout:
  deposits: active
  layers: [{{thickness: 5 mm, grid: {{kind: cartesian, window: [1 m, 1 m], cells: [1, 1]}}}}]
"""


class Stack(g4.G4VUserDetectorConstruction):
    """The plates, one behind the other."""

    def Construct(self) -> Any:  # noqa: N802 - Geant4's name
        """Build them."""
        material = g4.G4NistManager.Instance().FindOrBuildMaterial
        box = g4.G4Box("World", 520, 520, 1020)
        world = g4.G4LogicalVolume(box, material("G4_Galactic"), "World")
        placed = g4.G4PVPlacement(None, g4.G4ThreeVector(), world, "World", None, False, 0)
        self.kept = [box, world, placed]
        depth = 0.0
        for number in range(40):
            for name, thickness in (("G4_Fe", 20.0), (SCINTILLATOR, 5.0)):
                box = g4.G4Box(name, 500, 500, thickness / 2)
                plate = g4.G4LogicalVolume(box, material(name), name)
                place = g4.G4ThreeVector(0, 0, depth + thickness / 2)
                self.kept += [
                    box,
                    plate,
                    g4.G4PVPlacement(None, place, plate, name, world, False, number),
                ]
                depth += thickness
        return placed


class Physics(g4.G4VModularPhysicsList):
    """Standard electromagnetic physics, cut 0.7 mm."""

    def __init__(self) -> None:
        super().__init__()
        self.RegisterPhysics(g4.G4EmStandardPhysics())
        self.SetDefaultCutValue(0.7)


class Gun(g4.G4VUserPrimaryGeneratorAction):
    """Particles along the axis."""

    def __init__(self, particle: str, energy: float) -> None:
        super().__init__()
        self.gun = g4.G4ParticleGun(1)
        self.gun.SetParticleDefinition(g4.G4ParticleTable.GetParticleTable().FindParticle(particle))
        self.gun.SetParticleEnergy(energy)
        self.gun.SetParticlePosition(g4.G4ThreeVector(0, 0, -1))
        self.gun.SetParticleMomentumDirection(g4.G4ThreeVector(0, 0, 1))

    def GeneratePrimaries(self, event: Any) -> None:  # noqa: N802 - Geant4's name
        """Shoot one."""
        self.gun.GeneratePrimaryVertex(event)


class Steps(g4.G4UserSteppingAction):
    """Keeps the charged steps in the scintillator."""

    def __init__(self, kept: list[Any]) -> None:
        super().__init__()
        self.kept = kept

    def UserSteppingAction(self, step: Any) -> None:  # noqa: N802 - Geant4's name
        """Keep one."""
        pre, lost, kind = (
            step.GetPreStepPoint(),
            step.GetTotalEnergyDeposit(),
            step.GetTrack().GetDefinition(),
        )
        if lost <= 0 or pre.GetMaterial().GetName() != SCINTILLATOR or kind.GetPDGCharge() == 0:
            return
        ends = [_cm(point.GetPosition()) for point in (pre, step.GetPostStepPoint())]
        self.kept.append((kind.GetPDGEncoding(), pre.GetKineticEnergy(), lost, *ends, step.GetStepLength()))


class Actions(g4.G4VUserActionInitialization):
    """What a run does."""

    def __init__(self, particle: str, energy: float, kept: list[Any]) -> None:
        super().__init__()
        self.what = particle, energy, kept

    def Build(self) -> None:  # noqa: N802 - Geant4's name
        """Set it up."""
        particle, energy, kept = self.what
        self.SetUserAction(Gun(particle, energy))
        self.SetUserAction(Steps(kept))


def _cm(place: Any) -> list[float]:
    return [place.x / 10, place.y / 10, place.z / 10]


def main() -> None:
    """Shoot, and print the share of the deposits that is seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particle", default="e-")
    parser.add_argument("--energy", type=float, default=10_000.0, help="MeV")
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    kept: list[Any] = []
    manager = g4.G4RunManager()
    manager.SetUserInitialization(Stack())
    manager.SetUserInitialization(Physics())
    manager.SetUserInitialization(Actions(options.particle, options.energy, kept))
    manager.Initialize()
    manager.BeamOn(options.count)
    steps = np.array(kept, STEP)
    lost = steps["value"]
    straight = 10 * np.linalg.norm(steps["end"] - steps["start"], axis=1)
    seen = {
        "true lengths": lost / (1 + KB * lost / steps["length"]),
        "straight lines": lost / (1 + KB * lost / np.maximum(straight, 1e-9)),
        "caloforge": seen_in_slabs(Detector.from_yaml(LAYER))[0](steps),
    }
    print(f"{options.count} {options.particle} of {options.energy:g} MeV, {len(steps)} steps in plastic")
    for name, light in seen.items():
        print(f"{name:<16}{light.sum() / lost.sum():.5f}")


if __name__ == "__main__":
    main()
