"""The run folder: the only code that knows its file names, for writing and for reading.

    config.toml     every option, resolved
    meta.json       sizes and costs of the agent; versions, device, git state and command line of each session; options
                    that a session changed, with the epoch
    metrics.jsonl   one object per evaluation and seed; holds nothing that depends on the clock
    timing.jsonl    one object per evaluation: seconds spent so far, and steps per second since the one before
    status.json     how far the run is and how it ended
    checkpoints/    <epoch>.safetensors, the latest few, without the replay
    replay/         <epoch>.safetensors, the transitions that a checkpoint added
    evaluations/    what `rl-depth evaluate` found
    videos/
    log.txt         what the process printed, if a sweep started it

An archived run has the two ``.jsonl`` files compressed, as ``.jsonl.gz``, and no checkpoints.

A killed process leaves every file readable: small files and checkpoints appear by rename, and a torn last
line of a ``.jsonl`` file is dropped.
"""

from ..config import InputError, RunError
from .agent_file import read_agent, write_agent
from .archive import archive
from .atomic import write_text
from .checkpoints import BEST, REPLAY, Checkpoint, Segment, Transitions
from .entry import CHANGEABLE, fresh_path, hold
from .folder import Run, find_runs, is_run, open_run, written_to

__all__ = [
    "BEST",
    "CHANGEABLE",
    "REPLAY",
    "Checkpoint",
    "InputError",
    "Run",
    "RunError",
    "Segment",
    "Transitions",
    "archive",
    "find_runs",
    "fresh_path",
    "hold",
    "is_run",
    "open_run",
    "read_agent",
    "write_agent",
    "write_text",
    "written_to",
]
