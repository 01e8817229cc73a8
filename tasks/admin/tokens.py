"""API tokens: made here with their text shown once, and revoked. Superusers see everybody's, others their own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from tasks import access, audit
from tasks.admin import display
from tasks.admin.rights import Listed
from tasks.models import Token

COLOURS = {"good": "completed", "expired": "canceled", "revoked": "dead_lettered"}


def standing(token: Token) -> str:
    if token.revoked_at:
        return "revoked"
    return "expired" if token.expires_at and token.expires_at <= timezone.now() else "good"


class OwnToken(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=Token.Scopes.choices,
        initial=[Token.Scopes.SUBMIT, Token.Scopes.READ],
        widget=forms.CheckboxSelectMultiple,
        help_text="A token may do what its scopes and its user's permissions both allow. Admin includes the others.",
    )

    class Meta:
        model = Token
        fields = ["name", "scopes", "expires_at"]
        help_texts = {"name": "What it is for.", "expires_at": "Empty: until it is revoked. UTC."}

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise forms.ValidationError("This is in the past.")
        return expires_at


class AnyToken(OwnToken):
    user = forms.ModelChoiceField(
        get_user_model()._default_manager.filter(is_active=True),
        to_field_name=get_user_model().USERNAME_FIELD,
        widget=forms.TextInput,
        help_text="By username.",
        error_messages={"invalid_choice": "There is no active user of this name."},
    )

    class Meta(OwnToken.Meta):
        fields = ["user", *OwnToken.Meta.fields]


@admin.register(Token)
class TokenAdmin(Listed, admin.ModelAdmin):
    actions = ["revoke"]
    list_display = ["token", "state", "user", "rights", "created", "expires", "last_used"]
    list_max_show_all = 0
    list_select_related = ["user"]
    ordering = ["-id"]
    readonly_fields = ["state", "rights", "created_at", "expires_at", "last_used_at", "revoked_at"]
    search_fields = ["name", "prefix", "user__username"]
    search_help_text = "Name, first characters or user."
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    # -- rights ----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its scopes are what it was given out for

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tasks.change_token")

    # -- making one ------------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A token for somebody else would lend their rights: superusers only."""
        form = AnyToken if request.user.is_superuser else OwnToken
        return super().get_form(request, obj, change, **({} if obj else {"form": form}) | kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj:
            return ["user", "name", "prefix", *self.readonly_fields]
        return AnyToken.Meta.fields if request.user.is_superuser else OwnToken.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return self.readonly_fields if obj else []

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        user = obj.user if request.user.is_superuser else request.user
        made, obj.raw = access.make_token(user, form.cleaned_data["scopes"], obj.expires_at, obj.name)
        obj.pk, obj.user, obj.prefix = made.pk, made.user, made.prefix

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """The only page that ever shows the token."""
        context = {**self.admin_site.each_context(request), "title": "Your new token", "opts": self.opts, "token": obj}
        response = TemplateResponse(request, "admin/tasks/token/made.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    # -- revoking --------------------------------------------------------------------------------------------------

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[Token]) -> HttpResponse | None:
        good = [token for token in tokens.select_related("user") if standing(token) != "revoked"]
        if "post" not in request.POST:
            context = {"title": "Revoke tokens", "opts": self.opts, "tokens": good}
            context |= self.admin_site.each_context(request)
            return TemplateResponse(request, "admin/tasks/token/revoke.html", context)
        revoked = access.revoke(tokens)
        audit.record(request.user, good, "revoke: good → revoked")
        messages.success(request, f"Revoked {revoked}.")
        return None

    # -- the list --------------------------------------------------------------------------------------------------

    @admin.display(description="Token")
    def token(self, token: Token) -> str:
        return token.name or f"{token.prefix}…"

    @admin.display(description="State")
    def state(self, token: Token) -> str:
        state = standing(token)
        return display.badge(state, COLOURS[state])

    @admin.display(description="Scopes")
    def rights(self, token: Token) -> str:
        return display.tags(token.scopes)

    @admin.display(description="Created")
    def created(self, token: Token) -> str:
        return display.ago(token.created_at)

    @admin.display(description="Expires")
    def expires(self, token: Token) -> str:
        return display.ago(token.expires_at) if token.expires_at else "never"

    @admin.display(description="Last used")
    def last_used(self, token: Token) -> str:
        return display.ago(token.last_used_at)
