"""The addresses of the pages, at the hub's root."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from tasks.dashboard import pipelines, views
from tasks.dashboard.secret import callback_secret
from tasks.dashboard.signin import SignIn, signin

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("tasks/rows", views.rows, name="rows"),
    path("tasks/<uuid:id>/", views.task, name="task"),
    path("pipelines/", pipelines.pipelines, name="pipelines"),
    path("pipelines/<uuid:id>/", pipelines.pipeline, name="pipeline"),
    path("account/callback-secret", callback_secret, name="callback-secret"),
    path("login", SignIn.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("signin/<str:raw>", signin, name="signin"),
]
