"""strace, where it is installed and may trace: it strikes a real process at the system call that is named."""

import shutil
import subprocess

import pytest

__all__ = ["may_trace", "needs_strace", "strace"]

strace = shutil.which("strace")


def may_trace() -> bool:
    """Whether it is here, and allowed to: in some containers it is not."""
    return strace is not None and subprocess.run([strace, "-e", "trace=none", "true"], capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not may_trace(), reason="strace is not here, or may not trace")
