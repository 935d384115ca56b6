"""Checks Helm values (YAML files, as arguments) against a chart's values.schema.json (the first argument), as Helm
does before it renders."""

import json
import sys

import jsonschema
import yaml

with open(sys.argv[1]) as file:
    validator = jsonschema.Draft7Validator(json.load(file))
wrong = []
for path in sys.argv[2:]:
    with open(path) as file:
        values = yaml.safe_load(file)
    for error in validator.iter_errors(values):
        wrong.append(f"{path}: {'.'.join(str(part) for part in error.path)}: {error.message}")
if wrong:
    sys.exit("\n".join(wrong))
