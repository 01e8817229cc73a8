"""Every reader: what it takes, and the sentence with which it refuses."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskhub import env
from taskhub.env import InvalidEnvironment

NAME = "TASKHUB_TEST"


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


@pytest.fixture
def given(monkeypatch):
    def give(value: str) -> None:
        monkeypatch.setenv(NAME, value)

    return give


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_empty_is_unset(given, value):
    given(value)
    assert env.text(NAME, "default") == "default"
    assert env.integer(NAME, 7) == 7
    assert env.seconds(NAME, 1.5) == 1.5
    assert env.flag(NAME, True) is True
    assert env.names(NAME, "a,b") == ["a", "b"]
    assert env.parsed(NAME, str.upper, "x") == "X"


def test_white_space_around_a_value_is_dropped(given):
    given("  a b \n")
    assert env.text(NAME) == "a b"


# -- files ---------------------------------------------------------------------------------------------------------


def test_a_value_may_be_in_a_file_which_wins(monkeypatch, tmp_path, given):
    (tmp_path / "secret").write_text("from the file\n")
    given("from the variable")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))
    assert env.text(NAME) == "from the file"
    assert env.secret(NAME, None) == "from the file"


def test_a_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "nothing"))
    with pytest.raises(InvalidEnvironment, match=f"{NAME}_FILE names a file that cannot be read"):
        env.text(NAME)


def test_a_directory_and_a_file_that_is_no_text(monkeypatch, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "binary"):
        monkeypatch.setenv(f"{NAME}_FILE", str(path))
        with pytest.raises(InvalidEnvironment, match="cannot be read"):
            env.text(NAME)


# -- flags, choices, numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "meant"), [("1", True), ("true", True), ("TRUE", True), ("0", False), ("False", False)]
)
def test_flags(given, value, meant):
    given(value)
    assert env.flag(NAME, not meant) is meant


@pytest.mark.parametrize("value", ["yes", "2", "on", "-"])
def test_a_flag_that_is_none(given, value):
    given(value)
    with pytest.raises(InvalidEnvironment, match=f"{NAME} is {value!r}; it must be one of 1, true, 0, false"):
        env.flag(NAME)


def test_choices(given):
    given("Blue")
    assert env.choice(NAME, {"red": 1, "blue": 2}, 1) == 2
    given("green")
    with pytest.raises(InvalidEnvironment, match="must be one of red, blue"):
        env.choice(NAME, {"red": 1, "blue": 2}, 1)


@pytest.mark.parametrize(("value", "number"), [("1", 1), ("256", 256), ("+7", 7)])
def test_whole_numbers(given, value, number):
    given(value)
    assert env.integer(NAME, 0, least=1, most=256) == number


@pytest.mark.parametrize("value", ["1.5", "x", "0x10", "1e3", "NaN", "1,000"])
def test_a_whole_number_that_is_none(given, value):
    given(value)
    with pytest.raises(InvalidEnvironment, match=f"{NAME} is {value!r}; it must be a whole number"):
        env.integer(NAME, 1)


@pytest.mark.parametrize("value", ["0", "257", "-1", "99999999999999999999"])
def test_a_whole_number_out_of_its_range(given, value):
    given(value)
    with pytest.raises(InvalidEnvironment, match=f"{NAME} is {value}; it must lie between 1 and 256"):
        env.integer(NAME, 1, least=1, most=256)


@pytest.mark.parametrize(("value", "number"), [("0.1", 0.1), ("15", 15.0), ("3e2", 300.0)])
def test_seconds(given, value, number):
    given(value)
    assert env.seconds(NAME, 1, least=0.1, most=300) == number


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("5s", "must be a number of seconds"),
        ("soon", "must be a number of seconds"),
        ("nan", "must lie between 0.1 and 300"),
        ("inf", "must lie between"),
        ("0.09", "must lie between"),
        ("-5", "must lie between"),
        ("301", "must lie between"),
    ],
)
def test_seconds_that_are_none(given, value, match):
    given(value)
    with pytest.raises(InvalidEnvironment, match=match):
        env.seconds(NAME, 1, least=0.1, most=300)


def test_names_are_separated_by_commas(given):
    given(" a, b ,,c,")
    assert env.names(NAME) == ["a", "b", "c"]


def test_what_cannot_be_parsed_is_a_sentence(given):
    given("x")
    with pytest.raises(InvalidEnvironment, match=f"{NAME} is not usable: invalid literal"):
        env.parsed(NAME, int)


@pytest.mark.parametrize(
    "value",
    ["redis://h", "redis://h:6379/3", "rediss://user:pass@h:6380/0", "redis://[::1]:6379", "unix:///run/redis.sock"],
)
def test_addresses(given, value):
    given(value + "/")
    assert env.address(NAME, "redis", "rediss", "unix") == value


@pytest.mark.parametrize(
    "value", ["h:6379", "http://secret", "redis://", "redis:///0", "redis://h:x", "redis://h:0", "redis://[", "unix://"]
)
def test_an_address_that_is_none_is_not_repeated(given, value):
    given(value)
    with pytest.raises(InvalidEnvironment, match=f"{NAME} must be an address such as redis://host:port") as raised:
        env.address(NAME, "redis", "rediss", "unix")
    assert "secret" not in str(raised.value)


def test_an_address_may_be_missing_or_have_a_default():
    assert env.address(NAME, "http") == ""
    assert env.address(NAME, "http", default="http://localhost:8000") == "http://localhost:8000"


def test_apps_must_be_there_to_be_imported(given):
    given("tests.app, tasks")
    assert env.apps(NAME) == ["tests.app", "tasks"]
    given("tests.app,no_such_app.deep")
    with pytest.raises(InvalidEnvironment, match=r"lists 'no_such_app\.deep', which cannot be imported"):
        env.apps(NAME)


def test_a_value_that_a_check_refuses():
    assert env.checked(NAME, "7", int) == "7"
    with pytest.raises(InvalidEnvironment, match=f"{NAME} is not usable: invalid literal"):
        env.checked(NAME, "x", int)


def test_a_directory_is_made_for_its_owner_only(given, tmp_path):
    given(str(tmp_path / "a" / "b"))
    assert env.directory(NAME, tmp_path) == tmp_path / "a" / "b"
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_made(given, tmp_path):
    (tmp_path / "file").write_text("")
    given(str(tmp_path / "file" / "b"))
    with pytest.raises(InvalidEnvironment, match=f"{NAME} names a directory that cannot be made"):
        env.directory(NAME, tmp_path)


# -- secrets -------------------------------------------------------------------------------------------------------


def test_a_secret_that_is_given_is_taken_and_nothing_is_kept(given, tmp_path):
    given("given")
    assert env.secret(NAME, tmp_path / "kept") == "given"
    assert not (tmp_path / "kept").exists()


def test_a_secret_must_be_given_where_none_is_generated():
    with pytest.raises(InvalidEnvironment, match=f"{NAME} is not set"):
        env.secret(NAME, None)


def test_a_generated_secret_is_kept_for_its_owner_only(tmp_path):
    first = env.secret(NAME, tmp_path / "kept")
    assert len(first) >= 43
    assert env.secret(NAME, tmp_path / "kept") == first
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_all_who_start_at_the_same_time_read_the_same_secret(tmp_path):
    with ThreadPoolExecutor(16) as threads:
        secrets = list(threads.map(lambda _: env.secret(NAME, tmp_path / "kept"), range(64)))
    assert len(set(secrets)) == 1
    assert secrets[0]
