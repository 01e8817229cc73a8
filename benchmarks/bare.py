"""What REST framework's tutorial makes: a view that creates a row of one model, with no rights and no log."""

from __future__ import annotations

from django.urls import path
from rest_framework.generics import CreateAPIView
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import ModelSerializer

from tasks.models import QueueCount


class Serializer(ModelSerializer):
    class Meta:
        model = QueueCount
        fields = ["queue", "status", "n"]


class View(CreateAPIView):
    queryset = QueueCount.objects.all()
    serializer_class = Serializer
    authentication_classes = permission_classes = throttle_classes = ()
    parser_classes, renderer_classes = [JSONParser], [JSONRenderer]


urlpatterns = [path("rows", View.as_view())]
