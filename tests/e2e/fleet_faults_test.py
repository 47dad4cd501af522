#!/usr/bin/python3
"""Whatever is killed and cut: a job that was accepted ends in exactly one recorded outcome.

HEARTH_FAULT_JOBS changes how many; bench/fleet/soak is the long form."""

import os
import subprocess
import unittest

from fleet import FleetTest, Worker, stop_in_order
from fleet_jobs import Account, HANDLER, SUBMITTERS, Supervisor, proxies_for
from fleet_services_test import OwnRedis
from harness import eventually, main

JOBS = int(os.environ.get("HEARTH_FAULT_JOBS", "10000"))
KILL_EVERY_S = 2.0
# Two visibility timeouts, and what a loaded machine makes of them.
SETTLE_S = 240
SHARE_OF_FAULTS = 0.2


class WhateverHappens(FleetTest):
    def setUp(self):
        self.redis = OwnRedis()
        self.addCleanup(self.redis.end)
        self.redis.start()

    def check(self, account, supervisor):
        told = {**account.summary(), "kills": dict(supervisor.kills)}
        print(told)
        self.assertEqual(told["lost"], 0, told)
        self.assertEqual(told["states"], {"SUCCEEDED": len(account.accepted)}, told)
        for job_id, record in account.outcomes.items():
            self.assertEqual(record["result"][0], account.accepted[job_id])
        self.assertEqual(account.changed(), [], "an outcome was replaced by another one")

    def test_no_accepted_job_is_lost_where_everything_is_killed_in_turn(self):
        settings = {"REDIS_HOST": self.redis.address, "HEARTH_FUNCTION_CACHE_TIME": "1s"}
        controller = self.start_controller(**settings)
        workers = self.start_workers(controller, 2, **settings)
        account = Account(controller.client(), controller.client().upload(HANDLER), JOBS)
        supervisor = Supervisor([controller, *workers], self.redis).start(KILL_EVERY_S)
        try:
            account.submit_all(pause=KILL_EVERY_S * 4.5 * SUBMITTERS / JOBS)
        finally:
            supervisor.stop()
        self.assertEqual(set(supervisor.kills), {"worker", "sandboxd", "controller", "redis"})
        account.settle_all(SETTLE_S)
        self.check(account, supervisor)

    def test_no_accepted_job_is_lost_where_connections_suffer(self):
        settings, proxies = proxies_for(SHARE_OF_FAULTS, seed=7)
        for each in proxies.values():
            self.addCleanup(each.close)
        settings["REDIS_HOST"] = self.redis.address
        controller = self.start_controller(**settings)
        self.start_workers(controller, 2, **settings)
        account = Account(controller.client(), controller.client().upload(HANDLER), JOBS)
        supervisor = Supervisor([], proxies=proxies.values()).start(KILL_EVERY_S / 4)
        try:
            account.submit_all(pause=KILL_EVERY_S * 2 * SUBMITTERS / JOBS)
        finally:
            supervisor.stop()
        account.settle_all(SETTLE_S)
        suffered = {name: each.counts for name, each in proxies.items()}
        print(suffered)
        self.assertGreater(sum(sum(each.values()) for each in suffered.values()), 0)
        self.check(account, supervisor)


@unittest.skipUnless(os.geteuid() == 0, "mounts a small file system")
class AFullDisk(FleetTest):
    SIZE_MB = 8

    def test_delays_jobs_whose_code_it_has_no_room_for_and_loses_none(self):
        controller = self.start_controller()
        worker = self.make(Worker, controller.url)
        os.mkdir(worker.data_dir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE_MB}m", "hearth-test",
                        worker.data_dir], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", worker.data_dir], check=False)
        worker.start()
        client = controller.client()
        client.wait_for_job(client.submit(client.upload(HANDLER), 1))
        ballast = os.path.join(worker.data_dir, "ballast")
        with self.assertRaises(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        job_id = client.submit(client.upload(HANDLER + "# another one\n"), 2)
        eventually(lambda: "No space left" in worker.log_text(), "that the worker says so")
        os.unlink(ballast)
        record = client.wait_for_job(job_id, SETTLE_S)
        self.assertEqual((record["status"], record["result"][0]), ("SUCCEEDED", 2), record)
        stop_in_order(controller, worker)


if __name__ == "__main__":
    main()
