"""An ordinary project; what progflags adds is marked."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
DATA = Path(os.environ.get("SHOP_DATA", BASE_DIR))
SECRET_KEY = "a long random secret, from your environment"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
DEBUG = False
ROOT_URLCONF = "project.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "shop.sqlite3", "TEST": {"NAME": ":memory:"}}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.request": {"level": "CRITICAL"}, "django.server": {"level": "CRITICAL"}},
}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "progflags.contrib.django",  # ← commands, checks, template tags
    "shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "progflags.contrib.django.middleware.FlagsMiddleware",  # ← below authentication: it asks who is signed in
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["progflags.contrib.django.context_processors.flags"]},  # ← `flags` in templates
    }
]
PROGFLAGS = {  # ← the options of pf.connect
    "source": BASE_DIR / "flags.toml",
    "store": f"sqlite:///{DATA / 'flags.db'}",
    "anonymous": True,  # visitors keep an id, in a cookie signed with SECRET_KEY
}
