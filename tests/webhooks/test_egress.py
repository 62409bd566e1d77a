"""The door out: every spelling of an inner address, on save and at the socket."""

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from webhooks import egress
from webhooks.egress import Policy, Refusal, refusal, validate_url

NOTHING = Policy()
INTRANET = Policy.of(["10.1.0.0/16", "127.0.0.1/32:8900", "fd12::/16"])

INNER = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::127.0.0.1",  # NAT64
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",  # NAT64 of a local network
    "100::1",
    "2001::1",  # Teredo
    "2001:0:7f00:1::80ff:fffe",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::",  # 6to4
    "2002:a00:1::1",
    "2a00:1450:4001::5efe:127.0.0.1",  # ISATAP
    "2a00:1450:4001:0:200:5efe:10.0.0.1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::ffff:168.63.129.16",
    "::ffff:0:100.100.100.200",
]
PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "2a00:1450:4001:82a::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]
NO_ADDRESS = [
    "",
    "localhost",
    "127.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "2130706433",
    "1.2.3.4.5",
    "::g",
]


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_is_not_dialled(address: str) -> None:
    assert refusal(address, 443, rules=NOTHING) is Refusal.PRIVATE
    assert refusal(address, 443, scheme="http", rules=NOTHING) is Refusal.PRIVATE


@pytest.mark.parametrize("address", METADATA)
def test_metadata_is_not_dialled_whatever_is_allowed(address: str) -> None:
    everything = Policy.of(["0.0.0.0/0", "::/0"])

    assert refusal(address, 443, rules=NOTHING) is Refusal.METADATA
    assert refusal(address, 80, scheme="http", rules=everything) is Refusal.METADATA


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_dialled_over_tls_at_the_usual_ports(address: str) -> None:
    assert refusal(address, 443, rules=NOTHING) is None
    assert refusal(address, 8443, rules=NOTHING) is None
    assert refusal(address, 22, rules=NOTHING) is Refusal.PORT
    assert refusal(address, 443, scheme="http", rules=NOTHING) is Refusal.PLAIN_HTTP
    assert refusal(address, 9000, rules=Policy.of([], ports=[9000])) is None


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_what_is_no_address_is_not_dialled(text: str) -> None:
    assert refusal(text, 443, rules=NOTHING) is Refusal.NO_ADDRESS


@pytest.mark.parametrize(
    ("address", "port", "is_open"),
    [
        ("10.1.2.3", 80, True),
        ("10.1.2.3", 5432, True),
        ("::ffff:10.1.2.3", 80, True),
        ("10.2.0.1", 80, False),
        ("127.0.0.1", 8900, True),
        ("127.0.0.1", 8901, False),
        ("127.0.0.2", 8900, False),
        ("::127.0.0.1", 8900, False),
        ("64:ff9b::10.1.2.3", 80, False),
        ("2002:a01:203::1", 80, False),
        ("fd12::1", 80, True),
        ("fd13::1", 80, False),
        ("::1", 8900, False),
    ],
)
def test_the_operators_list_opens_its_ranges_and_ports_only(
    address: str, port: int, is_open: bool
) -> None:
    assert (refusal(address, port, scheme="http", rules=INTRANET) is None) is is_open


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/8",
        "127.0.0.1",
        "127.0.0.1:8900",
        "127.0.0.1/32:8900",
        "fd00::/8",
        "[fd00::]/8:443",
        "[::1]:80",
    ],
)
def test_an_entry_of_the_list(entry: str) -> None:
    assert len(Policy.of([entry]).allowed) == 1


@pytest.mark.parametrize(
    "entry", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8:0", "10.0.0.0/8:99999", "*"]
)
def test_a_malformed_entry_opens_nothing(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Policy.of([entry])


# --- On save --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "saved"),
    [
        ("https://crm.example.com/webhook", "https://crm.example.com/webhook"),
        (" https://CRM.example.com ", "https://crm.example.com/"),
        ("HTTPS://crm.example.com:443/a", "https://crm.example.com/a"),
        ("https://crm.example.com:8443/a?b=c&d=%20e", "https://crm.example.com:8443/a?b=c&d=%20e"),
        ("https://crm.example.com./x", "https://crm.example.com/x"),
        ("https://bücher.example/ü?q=张", "https://xn--bcher-kva.example/%C3%BC?q=%E5%BC%A0"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2A00:1450:4001:82A::200E]/", "https://[2a00:1450:4001:82a::200e]/"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
    ],
)
def test_a_public_url_is_saved_as_it_will_be_called(url: str, saved: str) -> None:
    assert validate_url(url, rules=NOTHING) == saved
    assert validate_url(saved, rules=NOTHING) == saved


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "url_missing"),
        ("crm.example.com/webhook", "url_malformed"),
        ("//crm.example.com", "url_malformed"),
        ("https://", "url_malformed"),
        ("https://:443/", "url_malformed"),
        ("https://crm.example.com:0/", "url_malformed"),
        ("https://crm.example.com:99999/", "url_malformed"),
        ("https://crm.example.com:port/", "url_malformed"),
        ("https://-crm.example.com/", "url_malformed"),
        ("https://crm..example.com/", "url_malformed"),
        ("https://[::1/", "url_malformed"),
        ("https://[v1.x]/", "url_malformed"),
        ("https://1.2.3.4.5/", "url_malformed"),
        ("https://crm.example.com/" + "x" * 2_000, "url_length"),
        ("https://crm.example.com/a b", "url_characters"),
        ("https://crm.example.com/\r\nHost: x", "url_characters"),
        ("https://crm.example.com\\@evil.example/", "url_characters"),
        ("https://user:secret@crm.example.com/", "url_credentials"),
        ("https://@crm.example.com/", "url_credentials"),
        ("https://crm.example.com/#part", "url_fragment"),
        ("https://crm.example.com/#", "url_fragment"),
        ("file:///etc/passwd", "url_scheme"),
        ("gopher://crm.example.com/", "url_scheme"),
        ("javascript:alert(1)", "url_scheme"),
        ("ftp://crm.example.com/", "url_scheme"),
        ("http://crm.example.com/", "url_plain_http"),
        ("http://8.8.8.8/", "url_plain_http"),
        ("https://crm.example.com:25/", "url_port"),
        ("https://8.8.8.8:9000/", "url_port"),
        ("https://127.0.0.1/", "url_private"),
        ("http://127.0.0.1:8000/", "url_private"),
        ("https://localhost/", "url_private"),
        ("https://a.localhost/", "url_private"),
        ("https://LOCALHOST./", "url_private"),
        ("https://postgres/", "url_private"),
        ("https://db.internal/", "url_private"),
        ("https://printer.local/", "url_private"),
        ("https://[::1]/", "url_private"),
        ("https://[::ffff:127.0.0.1]/", "url_private"),
        ("https://[::ffff:7f00:1]/", "url_private"),
        ("https://[64:ff9b::127.0.0.1]/", "url_private"),
        ("https://192.168.1.1/", "url_private"),
        ("https://127。0。0。1/", "url_private"),
        ("https://①②⑦.⓪.⓪.①/", "url_private"),
        ("https://169.254.169.254/latest/meta-data/", "url_metadata"),
        ("https://[fd00:ec2::254]/", "url_metadata"),
        ("https://127.1/", "url_address_form"),
        ("https://0x7f.1/", "url_address_form"),
        ("https://0177.0.0.1/", "url_address_form"),
        ("https://2130706433/", "url_address_form"),
        ("https://0x7f000001/", "url_address_form"),
        ("https://0/", "url_address_form"),
    ],
)
def test_any_other_url_is_refused_with_a_sentence(url: str, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_url(url, rules=NOTHING)

    (error,) = caught.value.error_list
    assert error.code == code
    assert caught.value.messages[0].endswith(".")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:8900/x", None),
        ("http://localhost:8900/x", None),
        ("http://10.1.2.3/x", None),
        ("http://receiver:8900/x", None),
        ("http://127.0.0.1:8901/x", "url_private"),
        ("http://10.2.0.1/x", "url_private"),
        ("https://169.254.169.254/", "url_metadata"),
    ],
)
def test_the_operators_list_counts_on_save_too(url: str, code: str | None) -> None:
    if code is None:
        assert validate_url(url, rules=INTRANET) == url
        return
    with pytest.raises(ValidationError) as caught:
        validate_url(url, rules=INTRANET)
    assert caught.value.error_list[0].code == code


def test_an_internal_name_needs_a_range_with_its_port() -> None:
    with pytest.raises(ValidationError):
        validate_url("http://receiver:9999/", rules=Policy.of(["127.0.0.1/32:8900"]))


def test_the_sentence_names_the_host_and_says_what_to_do() -> None:
    with pytest.raises(ValidationError) as caught:
        validate_url("https://127.0.0.1/", rules=NOTHING)

    assert caught.value.messages == [
        (
            "“127.0.0.1” is an internal address. Enter a public one, "
            "or ask the operator to add it to the allowed addresses."
        )
    ]


def test_the_policy_comes_from_the_settings_alone(settings: Settings) -> None:
    settings.EGRESS_ALLOW = ["10.1.0.0/16"]
    settings.EGRESS_PORTS = [9443]

    assert egress.policy().ports == {443, 8443, 9443}
    assert validate_url("http://10.1.0.1/") == "http://10.1.0.1/"
    settings.EGRESS_ALLOW = []
    with pytest.raises(ValidationError):
        validate_url("http://10.1.0.1/")
