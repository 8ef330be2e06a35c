"""Kafka client properties, from librdkafka's names, which the parameters carry, to Java's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# Names that mean the same in both.
SAME_IN_JAVA = frozenset(
    {
        "bootstrap.servers",
        "security.protocol",
        "client.id",
        "request.timeout.ms",
        "socket.connection.setup.timeout.ms",
        "metadata.max.age.ms",
        "ssl.key.password",
    }
)


def java_client(librdkafka: Mapping[str, str]) -> dict[str, str]:
    """Java client properties that mean the same as these of librdkafka.

    Raises ValueError for one without a rule, OSError for a certificate or key whose file cannot be read: in Java both
    lie in one file, so they are handed over as texts.
    """
    java: dict[str, str] = {}
    login: dict[str, str] = {}
    for key, value in librdkafka.items():
        if key in SAME_IN_JAVA:
            java[key] = value
        elif key in ("sasl.mechanism", "sasl.mechanisms"):
            java["sasl.mechanism"] = value
        elif key in ("sasl.username", "sasl.password"):
            login[key.removeprefix("sasl.")] = value
        elif key == "ssl.ca.location":
            java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": value}
        elif key == "ssl.ca.pem":
            java |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": value}
        elif key == "ssl.certificate.pem":
            java |= {"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": value}
        elif key == "ssl.certificate.location":
            java |= {"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": Path(value).read_text("utf-8")}
        elif key == "ssl.key.pem":
            java |= {"ssl.keystore.type": "PEM", "ssl.keystore.key": value}
        elif key == "ssl.key.location":
            java |= {"ssl.keystore.type": "PEM", "ssl.keystore.key": Path(value).read_text("utf-8")}
        elif key == "ssl.endpoint.identification.algorithm":
            java[key] = "" if value == "none" else value
        elif key == "enable.ssl.certificate.verification" and value == "true":
            continue
        else:
            raise ValueError(f"no rule for the client property {key!r} in Java's Kafka client")
    if login:
        mechanism = java.get("sasl.mechanism", "PLAIN")
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in login.items()}
        java["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required "
            f'username="{quoted.get("username", "")}" password="{quoted.get("password", "")}";'
        )
    return java
