"""What the stages that keep embeddings leave where there is nothing to keep; apart, so that no network is imported."""

from pathlib import Path

from pipeline.run import files


def leave_note(folder: Path) -> None:
    files.write_json(folder / "not-needed.json", {"reason": "the encoder is trained too, so there is nothing to keep"})
