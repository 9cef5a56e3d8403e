"""What failing commands of git, DVC and the stages complain of."""


def complaints(output: str) -> str:
    """The lines that call themselves errors, or else the last five."""
    told = [line for line in output.splitlines() if line.strip()]
    return " ".join([line for line in told if line.startswith(("ERROR", "fatal"))] or told[-5:])
