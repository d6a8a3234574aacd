"""The names are OpenTelemetry's where it has them, and by its rules where it has none."""

import re

import pytest
from opentelemetry.metrics import Meter
from opentelemetry.semconv._incubating.attributes import feature_flag_attributes as theirs
from opentelemetry.semconv._incubating.attributes import user_agent_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.metrics import http_metrics
from opentelemetry.semconv.schemas import Schemas

from progflags.flags import ErrorCode, Reason
from progflags.telemetry import _names as ours
from progflags.telemetry._tee import HTTP_DURATION


def test_every_shared_name_is_theirs_to_the_letter():
    """Attributes of flags, errors and HTTP are compared with the conventions' own package."""
    assert ours.KEY == theirs.FEATURE_FLAG_KEY
    assert ours.VARIANT == theirs.FEATURE_FLAG_RESULT_VARIANT
    assert ours.REASON == theirs.FEATURE_FLAG_RESULT_REASON
    assert ours.PROVIDER == theirs.FEATURE_FLAG_PROVIDER_NAME
    assert ours.VERSION == theirs.FEATURE_FLAG_VERSION
    assert ours.SET == theirs.FEATURE_FLAG_SET_ID
    assert ours.ERROR_TYPE == error_attributes.ERROR_TYPE
    assert ours.SYNTHETIC == user_agent_attributes.USER_AGENT_SYNTHETIC_TYPE
    assert http_metrics.HTTP_SERVER_REQUEST_DURATION == HTTP_DURATION
    known = [schema.value for schema in Schemas]
    assert ours.SCHEMA_URL in known or version(known[-1]) < version(ours.SCHEMA_URL)  # theirs is older


def version(schema):
    return tuple(map(int, schema.rpartition("/")[2].split(".")))


def test_no_deprecated_name_is_used():
    """What the conventions renamed is nowhere in our table."""
    used = {value for name, value in vars(ours).items() if name.isupper() and isinstance(value, str)}

    assert not used & {theirs.FEATURE_FLAG_VARIANT, theirs.FEATURE_FLAG_EVALUATION_REASON, theirs.FEATURE_FLAG_EVALUATION_ERROR_MESSAGE}


def test_reasons_and_error_types_are_theirs():
    """Every reason is one of their values, but for `pinned`, for which they have none; codes are OpenFeature's in lower case."""
    well_known = {value.value for value in theirs.FeatureFlagResultReasonValues}

    assert {ours.reason(reason) for reason in Reason} - well_known == {"pinned"}
    assert {ours.error_type(code) for code in ErrorCode} <= {
        *("flag_not_found", "type_mismatch", "targeting_key_missing", "parse_error"),
        *("invalid_context", "provider_not_ready", "provider_fatal", "general"),
    }


@pytest.mark.parametrize("metric", ours.METRICS, ids=lambda metric: metric.name)
def test_our_own_metrics_follow_their_rules(metric):
    """Own namespace, snake_case words, UCUM units, no `_total`, seconds; plural where things are counted; a kind that exists."""
    assert re.fullmatch(r"progflags(\.[a-z]+(_[a-z]+)*)+", metric.name)
    assert not metric.name.endswith("_total")
    assert re.fullmatch(r"s|1|\{[a-z]+\}", metric.unit)
    assert hasattr(Meter, f"create_{metric.kind}")
    assert metric.name.endswith("s") == metric.unit.startswith("{") or metric.name.endswith("status")
    assert bool(metric.boundaries) == (metric.kind == "histogram")
    assert list(metric.boundaries) == sorted(metric.boundaries)


def test_attributes_of_our_own_stay_out_of_their_namespaces():
    """`feature_flag.*` is never extended: what is ours begins with `progflags.`."""
    names = {value for name, value in vars(ours).items() if name.isupper() and isinstance(value, str) and "." in value and ":" not in value}
    standard = {ours.KEY, ours.VARIANT, ours.REASON, ours.PROVIDER, ours.VERSION, ours.SET, ours.ERROR_TYPE, ours.SYNTHETIC, ours.EVALUATED}

    assert all(name.startswith("progflags.") for name in names - standard)
