"""What a request can be refused with: AWS's error codes, and texts that say what is wrong."""

from __future__ import annotations


class ApiError(Exception):
    """An error as AWS answers it.

    Args:
        code: AWS's name of it, such as ``ValidationException``.
        message: what is wrong.
        status: of the HTTP answer.
        more: further members of the answer's body.
    """

    def __init__(self, code: str, message: str, status: int = 400, **more: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.more = more


def invalid(message: str) -> ApiError:
    """Return the error for parameters that cannot be."""
    return ApiError("ValidationException", message)


def missing(what: str, arn: str) -> ApiError:
    """Return the error for something that is not there: AWS says the same for what never was and what is gone."""
    return ApiError("ValidationException", f'Could not find {what} "{arn}".')


def exists(what: str, arn: str) -> ApiError:
    """Return the error for a name that is taken."""
    return ApiError("ResourceInUse", f"{what} names must be unique within an AWS account and region, but {arn} exists.")
