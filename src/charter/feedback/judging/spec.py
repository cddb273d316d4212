"""How an endpoint is named: ``endpoint:MODEL@https://host/v1`` and options behind commas."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from charter.config import Config, validate
from charter.errors import ConfigError, UserError, did_you_mean
from charter.feedback.judging.cost import Prices
from charter.feedback.judging.limits import Limits
from charter.feedback.judging.retry import Retry

PREFIX = "endpoint:"
DEFAULT_KEY_ENV = "OPENAI_API_KEY"
OMITTABLE = ("temperature", "top_p", "stop", "seed")
"""Parameters that a request can do without."""
EXTRA_FILTERS = ("top_k", "min_p")
"""Parameters that only some services know."""
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
"""What services call the token limit."""
_SHAPE = re.compile(r"^endpoint:(?P<model>.+)@(?P<url>https?://[^,\s]+)(?P<options>(,.*)?)$")
_SECRET = re.compile(r"key|token|secret|signature|password|^sig$|^auth", re.IGNORECASE)
_EXAMPLE = "endpoint:gpt-4o-mini@https://api.openai.com/v1,requests_per_minute=60"


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part for part in value.split("+") if part)
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class EndpointOptions(Config):
    """What may be said about an endpoint besides its address and model."""

    key_env: str | None = None
    """Environment variable with the key; unset = OPENAI_API_KEY, which goes only over https or to this
    machine; empty = send none."""

    timeout: float = Field(120.0, gt=0)
    """Longest one call may take, seconds."""

    retry_for: float = Field(300.0, gt=0)
    """Longest time one call is tried again after transient faults, seconds."""

    concurrency: int = Field(8, ge=1, le=512)
    """Most calls at a time."""

    requests_per_minute: int | None = Field(None, ge=1)
    """Most calls in any minute."""

    tokens_per_minute: int | None = Field(None, ge=1)
    """Most tokens, read and written together, in any minute."""

    price_in: float | None = Field(None, ge=0)
    """Price of a million tokens read."""

    price_out: float | None = Field(None, ge=0)
    """Price of a million tokens written."""

    price_cached: float | None = Field(None, ge=0)
    """Price of a million tokens read that the service had in its cache; unset = as ``price_in``."""

    max_cost: float | None = Field(None, gt=0)
    """Most to spend in one run; asking stops before it might be exceeded."""

    limit_field: str = "auto"
    """What the service calls the token limit: ``max_tokens``, ``max_completion_tokens``; ``auto`` = the
    second at api.openai.com, else the first."""

    omit: Names = ()
    """Parameters the service does not take (``seed+temperature``): they are not sent."""

    accepts: Names = ()
    """Parameters the service takes beyond the common ones: ``top_k+min_p``."""

    family: str = ""
    """Family of the model; empty = told from its name."""

    @field_validator("omit", "accepts")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = OMITTABLE if info.field_name == "omit" else EXTRA_FILTERS
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} cannot be named here; {did_you_mean(name, known)}")
        return names

    @field_validator("limit_field")
    @classmethod
    def _known_limit(cls, name: str) -> str:
        if name not in ("auto", *LIMIT_FIELDS):
            raise ValueError(f"{name!r} is not one of auto, {', '.join(LIMIT_FIELDS)}")
        return name

    def limits(self) -> Limits:
        """The pace that these options ask for."""
        return Limits(self.requests_per_minute, self.tokens_per_minute, self.concurrency)

    def retry(self) -> Retry:
        """How long is tried again."""
        return Retry(total_s=self.retry_for)

    def prices(self) -> Prices | None:
        """None = not known.

        Raises:
            UserError: only one of the two prices.
        """
        if self.price_in is None and self.price_out is None and self.price_cached is None:
            return None
        if self.price_in is None or self.price_out is None:
            raise UserError("price_in and price_out belong together", fix="give both, per million tokens")
        return Prices(self.price_in, self.price_out, self.price_cached)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is.

    Attributes:
        model: its name there.
        url: base address without query.
        query: of the address.
    """

    model: str
    url: str
    query: Mapping[str, str]

    @property
    def name(self) -> str:
        """``MODEL@host/path``: goes into journals and reports, so it holds no query."""
        return f"{self.model}@{self.url.split('://', 1)[1]}"

    @property
    def host(self) -> str:
        """Name of the machine."""
        return urlsplit(self.url).hostname or ""

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def is_endpoint(spec: str) -> bool:
    """Whether ``spec`` names a model behind an endpoint."""
    return spec.startswith(PREFIX)


def parse_spec(spec: str) -> tuple[Address, dict[str, Any]]:
    """Address and options of ``endpoint:MODEL@URL[,option=value ...]``; values are plain data.

    Raises:
        ConfigError: it has another shape, or a secret in it.
    """
    found = _SHAPE.match(spec)
    if found is None:
        shown = spec if "@http" not in spec else spec.split("@http", 1)[0] + "@http..."
        raise ConfigError(
            f"{shown!r} does not name a model behind an endpoint", fix=f"write it like {_EXAMPLE}"
        )
    address = _address(found["model"], found["url"])
    options: dict[str, Any] = {}
    for part in found["options"].split(",")[1:]:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ConfigError(f"option {name!r} has no value", where=address.name, fix="write option=value")
        if name in options:
            raise ConfigError(f"option {name!r} appears twice", where=address.name)
        options[name] = _value(name, value)
    return address, options


def options_of(values: Mapping[str, Any], where: str) -> EndpointOptions:
    """Checked options.

    Raises:
        ConfigError: an unknown name or a bad value.
    """
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return validate(EndpointOptions, plain, where=where)


def key_of(address: Address, key_env: str | None) -> tuple[str, str]:
    """The key and the name of the variable it is in; both "" where none is sent.

    Raises:
        UserError: the variable is not set, and the service is not on this machine.
    """
    if key_env is None and not address.local and address.url.startswith("http://"):
        return "", ""  # a default key is not sent in the clear
    name = DEFAULT_KEY_ENV if key_env is None else key_env
    key = os.environ.get(name, "").strip() if name else ""
    if key or not name:
        return key, name
    if address.local and key_env is None:
        return "", ""
    raise UserError(
        f"the environment variable {name} is not set, so there is no key for {address.host}",
        where=address.name,
        fix=f"set it (export {name}=...), or name another variable with key_env",
    )


def _address(model: str, url: str) -> Address:
    try:
        parts = urlsplit(url)
        known = bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ConfigError("the address has no host, or no valid port", fix=f"write it like {_EXAMPLE}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    secret = next((name for name in query if _SECRET.search(name)), "")
    if parts.username is not None or parts.password is not None or secret:
        raise ConfigError(
            "the address holds a secret, and addresses are written to run directories",
            where=f"{model}@{parts.hostname}",
            fix="put the key into an environment variable and name it with key_env",
        )
    path = parts.path.rstrip("/")
    if path.endswith(("/chat/completions", "/completions")):
        raise ConfigError(
            "the address is that of one call",
            where=f"{model}@{parts.hostname}",
            fix="leave out /chat/completions: the address usually ends in /v1",
        )
    return Address(model, urlunsplit((parts.scheme, parts.netloc, path, "", "")), query)


def _value(name: str, text: str) -> Any:
    """An option's text as the plain value its type takes."""
    info = EndpointOptions.model_fields.get(name)
    kinds = str(info.annotation) if info is not None else "str"
    if "int" in kinds or "float" in kinds:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text
