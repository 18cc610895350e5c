"""One progress bar over parts of very different length."""

from __future__ import annotations

__all__ = ["Bar"]

from caloforge.progress import Progress
from caloforge.validation.study import Tell

_STEPS = 1000


class Bar:
    """Adds up parts of work, each weighted with the seconds that it will take, roughly.

    Args:
        progress: What to tell, or None.
        total: Seconds of all parts together.
    """

    def __init__(self, progress: Progress | None, total: float) -> None:
        self._progress, self._total, self._done = progress, total, 0.0

    def part(self, seconds: float) -> Tell:
        """Begin the next part.

        Args:
            seconds: Its share of the total.

        Returns:
            To be told the share of this part that is done, and a note.
        """
        start, self._done = self._done, self._done + seconds

        def tell(fraction: float, note: str) -> None:
            if self._progress is not None:
                done = round(_STEPS * (start + min(max(fraction, 0.0), 1.0) * seconds) / self._total)
                self._progress(min(done, _STEPS), _STEPS, note)

        tell(0.0, "")
        return tell

    def rest(self) -> Tell:
        """Begin the last part, which takes what is left of the total."""
        return self.part(max(self._total - self._done, 0.0))
