"""Properties are judged by what they find, never by how long a busy machine takes over one example."""

from hypothesis import HealthCheck, settings

settings.register_profile("progflags", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("progflags")
