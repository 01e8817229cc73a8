"""The receiver's addresses, under /demo/."""

from django.urls import path

from demo import receiver

urlpatterns = [
    path("", receiver.page, name="demo-receiver"),
    path("receiver", receiver.receive),
    path("receiver/broken", receiver.receive_broken),
    path("receiver/later", receiver.receive_later),
    path("receiver/break", receiver.set_broken, {"is_broken": True}, name="demo-break"),
    path("receiver/repair", receiver.set_broken, {"is_broken": False}, name="demo-repair"),
    path("receiver/finish", receiver.finish, name="demo-finish"),
]
