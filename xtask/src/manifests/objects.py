"""Reads Kubernetes objects as YAML, checks each against the schemas of the API versions given as arguments, and
writes them as JSON. Kinds of the API's own must have a schema; those of operators have none here."""

import json
import sys

import kubernetes_validate
import yaml

FOREIGN = {"PodMonitor", "PrometheusRule", "SecurityContextConstraints"}

objects = [item for item in yaml.safe_load_all(sys.stdin) if item]
wrong = []
for item in objects:
    name = f"{item.get('kind')} {item.get('metadata', {}).get('name')}"
    if item.get("kind") in FOREIGN:
        continue
    for version in sys.argv[1:]:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            wrong.append(f"{name}: Kubernetes {version}: {path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            wrong.append(f"{name}: {error.message}")
if wrong:
    sys.exit("\n".join(wrong))
json.dump(objects, sys.stdout)
