"""What a comparison leaves behind: outcomes, counts, latencies, redacted samples, the verdict."""

from progflags.darklaunch.record._conclude import Comparer, Conclusion
from progflags.darklaunch.record._failure import place, standing
from progflags.darklaunch.record._latency import Latency
from progflags.darklaunch.record._observation import Observation, observe
from progflags.darklaunch.record._outcome import BAD, CONCLUSIVE, GOOD, Outcome, Shed
from progflags.darklaunch.record._record import Record
from progflags.darklaunch.record._redact import Redactor, mute
from progflags.darklaunch.record._sink import JsonLines
from progflags.darklaunch.record._stats import DarkLaunchStats, reading
from progflags.darklaunch.record._summary import ShadowSummary
from progflags.darklaunch.record._verdict import DarkLaunchVerdict, Safety, judge, judge_score

__all__ = [
    "BAD",
    "CONCLUSIVE",
    "GOOD",
    "Comparer",
    "Conclusion",
    "DarkLaunchStats",
    "DarkLaunchVerdict",
    "JsonLines",
    "Latency",
    "Observation",
    "Outcome",
    "Record",
    "Redactor",
    "Safety",
    "ShadowSummary",
    "Shed",
    "judge",
    "judge_score",
    "mute",
    "observe",
    "place",
    "reading",
    "standing",
]
