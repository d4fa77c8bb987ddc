"""Every error a user can meet, as one tree.

    DstackError                     exit  kind
    ├── InputError                    2   input            the user's file, arguments, settings
    ├── NotFoundError                64   not-found        no such workflow, run, tag, secret
    ├── NoOfferError                 69   no-offer         nothing in the catalog fits
    ├── NoCapacityError              69   no-capacity      offers exist, no machine could be had
    ├── AccessError                  77   access
    │   ├── CredentialsError         77   credentials      none, wrong or expired
    │   ├── PermissionDeniedError    77   permission       known, but not allowed
    │   └── QuotaError               77   quota            the account's limit is too low
    ├── ArtifactsError               74   artifacts        not (all) stored, or gone
    ├── MachineLostError             74   machine-lost     the machine ended without a word
    ├── ImageError                   74   image            no machine image came of a build
    ├── TryAgainError                75   try-again
    │   ├── ThrottledError           75   throttled
    │   └── UnreachableError         75   unreachable      network, SSH, an endpoint
    ├── LimitReachedError           124   limit            max_duration ended the run
    │   └── CostLimitError          124   max_cost         max_cost did, or leaves too little
    ├── DetachedError               130   detached         Ctrl-C while following
    └── InternalError                70   internal         a bug of ours

An error says what happened (``message``), where (``file``, ``line``, ``column``; lines and columns
count from 1) and what to do next (``hint``).
"""

from __future__ import annotations

from collections.abc import Sequence


class DstackError(Exception):
    """Base of all errors that the user sees.

    ``message`` and ``hint`` are plain sentences without a trailing full stop; neither may hold a
    secret. ``exit_code`` and ``kind`` follow the command line's contract.
    """

    exit_code = 70
    kind = "internal"

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.file = file
        self.line = line
        self.column = column

    @property
    def where(self) -> str:
        """``file:line:column`` as far as known, else the empty string."""
        parts = [self.file, self.line, self.column]
        return ":".join(str(part) for part in parts if part is not None)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def as_json(self) -> dict[str, object]:
        """The ``error`` member of the JSON contract."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
            "file": self.file,
            "line": self.line,
            "column": self.column,
        }


class InputError(DstackError):
    """The user's file, arguments or configuration are wrong."""

    exit_code = 2
    kind = "input"


class NotFoundError(DstackError):
    """A workflow, run, tag or object of that name does not exist."""

    exit_code = 64
    kind = "not-found"


class NoOfferError(DstackError):
    """Nothing in the catalog satisfies the request."""

    exit_code = 69
    kind = "no-offer"


class NoCapacityError(DstackError):
    """Offers exist, but no cloud had a machine to give."""

    exit_code = 69
    kind = "no-capacity"


class AccessError(DstackError):
    """The cloud refuses the caller."""

    exit_code = 77
    kind = "access"


class CredentialsError(AccessError):
    """There are no credentials, or they are wrong or expired."""

    kind = "credentials"


class PermissionDeniedError(AccessError):
    """The caller is known but may not do this."""

    kind = "permission"


class QuotaError(AccessError):
    """The account's quota is too low for the request."""

    kind = "quota"


class ArtifactsError(DstackError):
    """Artifacts could not be stored or are not there."""

    exit_code = 74
    kind = "artifacts"


class MachineLostError(DstackError):
    """The machine ended without recording how."""

    exit_code = 74
    kind = "machine-lost"


class ImageError(DstackError):
    """A machine image could not be made."""

    exit_code = 74
    kind = "image"


class TryAgainError(DstackError):
    """A passing condition: the same command may work later."""

    exit_code = 75
    kind = "try-again"


class ThrottledError(TryAgainError):
    """The cloud asks us to slow down."""

    kind = "throttled"


class UnreachableError(TryAgainError):
    """A network, an endpoint or a machine does not answer."""

    kind = "unreachable"


class LimitReachedError(DstackError):
    """``max_duration`` or ``max_cost`` ended the run."""

    exit_code = 124
    kind = "limit"


class CostLimitError(LimitReachedError):
    """``max_cost`` ended the run, or leaves too little for another attempt."""

    kind = "max_cost"


class DetachedError(DstackError):
    """The user detached; the run goes on."""

    exit_code = 130
    kind = "detached"


class InternalError(DstackError):
    """A bug of ours."""


def on_all_clouds(message: str, errors: Sequence[tuple[str, DstackError]]) -> DstackError:
    """One error for what went wrong on each of several clouds. It is of the gravest kind: that no
    machine was to be had, else the first that is more than that nothing fits. A cloud alone has its
    own words."""
    if len(errors) == 1:
        return errors[0][1]
    kinds = [type(error) for _, error in errors if not isinstance(error, NoOfferError)]
    kind: type[DstackError] = (*kinds, NoOfferError)[0]
    if NoCapacityError in kinds:
        kind = NoCapacityError
    told = "\n".join(f"  {cloud}: {_indented(error.message)}" for cloud, error in errors)
    hints = dict.fromkeys(error.hint for _, error in errors if error.hint)
    return kind(f"{message}:\n{told}", "\n".join(hints) or None)


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
