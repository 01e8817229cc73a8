"""Every address of the hub. Each part brings its own list."""

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("tasks.api.urls")),
    path("", include("tasks.dashboard.urls")),
]

if settings.DEVELOPMENT and apps.is_installed("demo"):
    urlpatterns.append(path("demo/", include("demo.urls")))
