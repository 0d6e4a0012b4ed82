"""A process that runs executions until it is told to stop: `python -m tests.contract.worker`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.contract.engines import ENGINES


async def work(engine: str, directory: Path) -> None:
    async with ENGINES[engine](directory) as runner:
        closing: list[asyncio.Task[None]] = []
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, lambda: closing.append(asyncio.create_task(runner.close()))
        )
        await runner.run()
        await asyncio.gather(*closing)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
