"""A backend that reads an object with the AWS SDK for each request."""

import argparse
import threading

import boto3
from botocore.config import Config

import lab


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--log", required=True)
    flags.add_argument("--endpoint", required=True)
    flags.add_argument("--recycle", type=int, default=0)
    flags.add_argument("--fresh", action="store_true")
    flags = flags.parse_args()

    # Sessions are not made for threads, clients are.
    making = threading.Lock()

    def client(session):
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, read_timeout=20)
        with making:
            return session.client("s3", endpoint_url=flags.endpoint, region_name="eu-west-1", config=config)

    def make_answer():
        session = boto3.session.Session()
        kept = []

        def answer(number):
            # The first request makes the client, and with it asks for credentials.
            store = kept[0] if kept and not flags.fresh else client(session)
            kept[:] = [store]
            return store.get_object(Bucket="items", Key=number)["Body"].read()

        return answer

    log = lab.Log(flags.log)
    if flags.recycle:
        lab.serve_recycled(make_answer, log, flags.recycle)
    else:
        lab.serve(make_answer(), log)


main()
