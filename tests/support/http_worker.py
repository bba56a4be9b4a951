"""What a worker process does, without the threads that large libraries start when imported."""

import multiprocessing
import os
import signal
from typing import Any

import uvloop
from locctl.http_worker import Announcement, Starts, load_application


def be_stopped_before_the_loop_runs(count: Any) -> None:
    serving = Announcement("serving", multiprocessing.Value("b", True))
    application = load_application(Starts(count, 1), serving, "builtins:object")
    loop = uvloop.new_event_loop()
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    os.kill(os.getpid(), signal.SIGTERM)
    application.__rsgi_init__(loop)
    loop.run_forever()
