"""What a handler of one call is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto_fixtures.aws.answer import Answer, AwsError, protocol_of, serialized
from moto_fixtures.aws.call import Call
from moto_fixtures.aws.iam.principals import Principal
from moto_fixtures.shared.log import Entry

if TYPE_CHECKING:
    from moto_fixtures.aws.emulator import Emulator
    from moto_fixtures.aws.iam.policy import Needed


@dataclass
class Request:
    """One authenticated call on its way through the emulator."""

    emulator: Emulator
    call: Call
    principal: Principal
    entry: Entry

    @property
    def params(self) -> dict[str, Any]:
        return self.call.params

    @property
    def region(self) -> str:
        return self.call.region

    def authorize(self, needed: list[Needed]) -> None:
        """Raise the service's denial unless the principal has every permission."""
        self.emulator.authority.require(self, needed)

    def allowed(self, needed: list[Needed]) -> bool:
        """Whether the principal has every permission; nothing is raised."""
        try:
            self.authorize(needed)
        except AwsError:
            return False
        return True

    def to_moto(self) -> Answer:
        """Let moto answer."""
        status, headers, body = self.emulator.moto(self.call.environ)
        return Answer(status, body, headers)

    def answer(self, result: Any) -> Answer:
        """``result`` in the service's protocol."""
        transformers = None
        if protocol_of(self.call.model_name) == "ec2":
            from moto.ec2.responses import EC2Response

            transformers = EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER
        return serialized(self.call.model_name, self.call.action, result, transformers)
