"""Rights on a Kafka with ACLs given and taken, and its topics as librdkafka and Java's client see them.

`python -m tests.secured ARGUMENTS.json`; its last line is JSON. Both clients get the same properties. Java's client is
that of the broker's jars, in a JVM of its own: the words of Spark's jobs are tried without Spark.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
from spark_jobs.generated.job import kafka_config
from spark_jobs.generated.params import KafkaAccess
from spark_jobs.kit.client import java_client

ANSWER_S = 20


def change_rights(args: dict[str, Any]) -> None:
    """Returns once the controller has taken it; brokers hear of it a moment later."""
    admin = AdminClient({"bootstrap.servers": args["bootstrap"]})
    of_user = [
        (
            ResourceType[right["resource"]],
            args["prefix"],
            ResourcePatternType.PREFIXED,
            "User:millrace",
            "*",
            AclOperation[right["operation"]],
            AclPermissionType.ALLOW,
        )
        for right in args["rights"]
    ]
    if args["change"] == "give":
        asked = admin.create_acls([AclBinding(*right) for right in of_user], request_timeout=ANSWER_S)
    else:
        asked = admin.delete_acls([AclBindingFilter(*right) for right in of_user], request_timeout=ANSWER_S)
    for answer in asked.values():
        answer.result(ANSWER_S)


def seen(args: dict[str, Any]) -> dict[str, list[str]]:
    """The topics, by both clients."""
    config = kafka_config(KafkaAccess.parse(args["access"]))
    by_librdkafka = sorted(AdminClient(config).list_topics(timeout=ANSWER_S).topics)
    port = launch_gateway(classpath=":".join(str(jar) for jar in Path(args["jars"]).glob("*.jar")), die_on_exit=True)
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auto_convert=True))
    try:
        properties = gateway.jvm.java.util.Properties()
        for name, value in java_client(config).items():
            properties.setProperty(name, value)
        admin = gateway.jvm.org.apache.kafka.clients.admin.Admin.create(properties)
        by_java = sorted(admin.listTopics().names().get())
        admin.close()
    finally:
        gateway.shutdown()
    return {"librdkafka": by_librdkafka, "java": by_java}


def main() -> None:
    """Reads the arguments and answers."""
    args = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    if args["change"] is None:
        print(json.dumps(seen(args)))
    else:
        change_rights(args)
        print("{}")


if __name__ == "__main__":
    main()
