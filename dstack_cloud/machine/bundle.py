"""The agent as one program: a zip file that Python runs (`python3 agent.pyz VERB`)."""

from __future__ import annotations

import io
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from dstack_cloud.errors import InternalError

# On the wire, where the whole is compressed at once: better than file by file, and what runs on the
# machine need not be unpacked at each start.
MAX_SENT = 96 * 1024
_MAIN = b"import sys\n\nfrom agent.main import main\n\nsys.exit(main(sys.argv[1:]))\n"
# The oldest moment a zip file can hold: the same sources give the same bytes, whenever built.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@lru_cache(maxsize=1)
def agent_bundle() -> bytes:
    """The program's bytes, uncompressed; the same sources give the same bytes."""
    folder = Path(__file__).parent / "agent"
    sources = {f"agent/{path.name}": path.read_bytes() for path in folder.glob("*.py")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted({**sources, "__main__.py": _MAIN}.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, data)
    return buffer.getvalue()


def packed(bundle: bytes) -> bytes:
    """The program as it is sent: at most 96 KB, else InternalError."""
    data = zlib.compress(bundle, 9)
    if len(data) > MAX_SENT:
        raise InternalError(f"the agent has {len(data)} bytes, more than {MAX_SENT}")
    return data
