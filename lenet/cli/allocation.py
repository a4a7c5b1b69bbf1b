"""What becomes of memory that is freed."""

import contextlib
import ctypes

__all__ = ["keep_freed_memory"]

# Of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Let the C library keep the memory that one step frees for the next.

    Every step needs the same few megabytes. glibc gives them back to the system in between, which
    then clears them page by page: a sixth of LeNet's time at batch 64. Where there is no glibc,
    nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        # 32 MB is the most that every glibc takes. Without it, the other would do harm.
        if mallopt(M_MMAP_THRESHOLD, 1 << 25):
            mallopt(M_TRIM_THRESHOLD, 1 << 30)
