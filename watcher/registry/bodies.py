"""Bodies of answers: how large each kind may be (bytes), and JSON parsed strictly.

How they are read within these caps is http_client/reading.py. Only registry/ imports this.
"""

from __future__ import annotations

import json
from typing import Any

MANIFEST_CAP = 4 * 1024 * 1024
CONFIG_CAP = 4 * 1024 * 1024
TOKEN_CAP = 128 * 1024
ERROR_CAP = 64 * 1024
PAGE_CAP = 8 * 1024 * 1024
GOOGLE_PAGE_CAP = 32 * 1024 * 1024  # its tag lists carry a map of all manifests
WALK_CAP = 64 * 1024 * 1024


def parse_json(body: bytes) -> Any:
    """JSON of a listing or an error: strict UTF-8, no NaN; of equal keys the last counts.

    Raises ValueError (also for nesting without end).
    """
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
