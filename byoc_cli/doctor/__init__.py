"""The command `byoc doctor`."""

from byoc_cli.doctor.command import doctor

__all__ = ["doctor"]
