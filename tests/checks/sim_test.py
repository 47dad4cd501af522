#!/usr/bin/python3
"""What tools/sim promises: waiting times that queueing theory knows, no call lost or counted twice,
fleets that follow their backlog, and the programs' own rules for sandboxes and lanes."""

import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "sim.d"))
import report  # noqa: E402
import validation  # noqa: E402
from clock import Clock  # noqa: E402
from dispatcher import sandboxes_to_start  # noqa: E402
from fleet import Fleet  # noqa: E402
from lane import Lanes  # noqa: E402
from settings import Settings  # noqa: E402
from worker import Call, Worker  # noqa: E402
from workload import Distribution, Function, Spread  # noqa: E402

# The standard error of these runs is some 3 %, measured over seeds.
THEORY_TOLERANCE = 0.12


def idealized(**more):
    """Nothing but executions takes time, so that a worker is theory's server."""
    none = Spread()
    given = {"functions": 1, "controller_ms": 0.0, "worker_ms": 0.0, "start_parked_ms": none,
             "start_anew_ms": none, "code_ms": none, "lane_ms": none, "send_ms": none,
             "receive_ms": none, "job_before_ms": none, "job_after_ms": none, **more}
    return Settings(**given).check()


def run(settings):
    fleet = Fleet(settings).run()
    return fleet, report.figures_of(fleet)


def mean_wait_of_mmc(arrival_rate, service_rate, servers):
    """Erlang's C formula."""
    offered = arrival_rate / service_rate
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (sum(terms) + last) / (servers * service_rate - arrival_rate)


class Theory(unittest.TestCase):
    def assert_waits(self, kind, settings, servers):
        _, figures = run(settings)
        expected = mean_wait_of_mmc(settings.rate, 1000 / settings.execution_ms, servers)
        self.assertAlmostEqual(figures["delaySeconds"][kind]["mean"] / expected, 1,
                               delta=THEORY_TOLERANCE)

    def test_jobs_of_one_worker_with_one_place_wait_as_in_mm1(self):
        self.assert_waits("jobs", idealized(
            workers=1, job_concurrency=1, rate=7, async_share=1.0, duration_s=10000), 1)

    def test_jobs_of_a_fleet_wait_as_in_mmc(self):
        self.assert_waits("jobs", idealized(
            workers=4, job_concurrency=1, rate=32, async_share=1.0, duration_s=2500), 4)

    def test_calls_over_lanes_wait_as_in_mmc(self):
        self.assert_waits("calls", idealized(
            workers=2, lane_concurrency=2, rate=32, async_share=0.0, duration_s=2500,
            credit_wait_s=1e6), 4)

    def test_the_controllers_loop_is_a_server_of_its_own_as_in_md1(self):
        settings = idealized(workers=1, lane_concurrency=1024, rate=800, async_share=0.0,
                             duration_s=60, controller_ms=1.0, execution_ms=0.01, budget_mb=1 << 20,
                             function_concurrency=1000)
        _, figures = run(settings)
        load = 0.8
        expected = 0.001 + load * 0.001 / (2 * (1 - load))
        self.assertAlmostEqual(figures["delaySeconds"]["calls"]["mean"] / expected, 1,
                               delta=THEORY_TOLERANCE)


class Conservation(unittest.TestCase):
    def test_everything_that_arrives_has_one_outcome_while_hosts_vanish_come_and_go(self):
        fleet, figures = run(Settings(
            workers=4, rate=40, duration_s=1200, scaling=True, workers_min=1, workers_max=8,
            out_after=1, in_after=2, surge=(200, 500, 4), failures_per_hour=20.0,
            execution_ms=800.0, functions=20, grace_s=2.0).check())
        self.assertEqual(sum(figures["outcomes"].values()), fleet.arrived)
        self.assertEqual(len(set(map(id, fleet.ended))), fleet.arrived)
        self.assertEqual(sum(each.is_job and each.outcome != "done" for each in fleet.ended), 0)
        self.assertGreater(figures["repeated"], 0)
        self.assertEqual((fleet.queue.in_flight, len(fleet.queue.visible)), (0, 0))

    def test_the_same_seed_has_the_same_outcome_and_another_one_another(self):
        def figures(seed):
            return run(Settings(seed=seed, duration_s=60, workers=2, failures_per_hour=60))[1]
        self.assertEqual(figures(1), figures(1))
        self.assertNotEqual(figures(1), figures(2))

    def test_policies_meet_the_same_arrivals(self):
        one, _ = run(Settings(duration_s=30, workers=1))
        two, _ = run(Settings(duration_s=30, workers=5, parked=0))
        self.assertEqual(sorted((each.arrived, each.length_s) for each in one.ended),
                         sorted((each.arrived, each.length_s) for each in two.ended))


class Scaling(unittest.TestCase):
    def test_an_idle_fleet_shrinks_to_its_least(self):
        fleet, figures = run(Settings(workers=20, scaling=True, workers_min=2, rate=0.01,
                                      duration_s=7200).check())
        self.assertEqual(fleet.group.count("live"), 2)
        self.assertEqual(figures["removals"], 18)

    def test_a_flood_makes_it_grow_and_hosts_are_ready_only_after_their_start(self):
        settings = Settings(workers=1, scaling=True, workers_max=30, rate=50, async_share=1.0,
                            execution_ms=1000.0, duration_s=900, out_after=1).check()
        fleet, figures = run(settings)
        self.assertGreater(figures["workers"]["most"], 5)
        self.assertLessEqual(figures["workers"]["most"], 30)
        second = fleet.group.workers[1]
        self.assertGreaterEqual(second.launched, settings.evaluation_s)

    def test_a_warm_pool_shortens_the_wait_for_a_flood(self):
        def wait(warm_pool):
            return run(Settings(workers=1, scaling=True, workers_max=30, rate=50, async_share=1.0,
                                execution_ms=1000.0, duration_s=600, out_after=1,
                                warm_pool=warm_pool).check())[1]["delaySeconds"]["jobs"]["mean"]
        self.assertLess(wait(30), wait(0))

    def test_hosts_are_paid_for_from_launch_to_end(self):
        _, figures = run(Settings(workers=3, duration_s=3600, rate=0.1, warm_pool=2, price=1.0,
                                  price_stopped=0.5).check())
        self.assertAlmostEqual(figures["instanceHours"], 3)
        self.assertAlmostEqual(figures["cost"], 3 + 2 * 0.5)


class Policies(unittest.TestCase):
    def test_growth_decides_as_the_workers_formula(self):
        # growth_test.cc's cases: nothing waits; nothing lives; fast; slow.
        self.assertEqual(sandboxes_to_start(0, 0, 0, 0.0, 0.025), 0)
        self.assertEqual(sandboxes_to_start(50, 0, 0, 0.0, 0.025), 1)
        self.assertEqual(sandboxes_to_start(10, 1, 0, 0.001, 0.025), 0)
        self.assertEqual(sandboxes_to_start(10, 1, 0, 1.0, 0.025), 10)

    def test_a_budget_that_holds_fewer_functions_than_are_called_evicts_and_serves_all(self):
        fleet, figures = run(Settings(functions=40, budget_mb=128 * 10, rate=50, duration_s=60,
                                      async_share=0.0).check())
        self.assertGreater(figures["evicted"], 0)
        self.assertEqual(figures["outcomes"]["done"], fleet.arrived)
        self.assertTrue(all(each.dispatcher.used_mb <= 1280 for each in fleet.group.workers))

    def test_a_call_without_credit_for_a_second_goes_through_the_queue(self):
        _, figures = run(Settings(workers=1, lane_concurrency=1, rate=5, async_share=0.0,
                                  execution_ms=2000.0, duration_s=30).check())
        self.assertGreater(figures["callsThroughQueue"], 0)

    def test_a_flood_on_one_function_leaves_an_eighth_of_the_credits_to_one_in_use(self):
        clock, sent = Clock(), []
        lanes = Lanes(clock, Settings(lane_concurrency=16), lambda call, _: sent.append(call))
        flood, other = (Function(number, 1.0, 1.0, 128) for number in (0, 1))
        lanes.enqueue(Call(other, 0.0, 1.0, False))  # no lane: it only shows that it is in use
        lanes.add(Worker(Fleet(Settings()), 0))
        for _ in range(50):
            lanes.enqueue(Call(flood, 0.0, 1.0, False))
        self.assertEqual(len(sent), 16 - 2)
        lanes.enqueue(Call(other, 0.0, 1.0, False))
        self.assertIs(sent[-1].function, other)

    def test_a_function_alone_has_all_credits(self):
        sent = []
        lanes = Lanes(Clock(), Settings(lane_concurrency=16), lambda call, _: sent.append(call))
        lanes.add(Worker(Fleet(Settings()), 0))
        for _ in range(50):
            lanes.enqueue(Call(Function(0, 1.0, 1.0, 128), 0.0, 1.0, False))
        self.assertEqual((len(sent), lanes.waiting), (16, 34))

    def test_of_calls_most_are_warm_once_sandboxes_are_there(self):
        _, figures = run(Settings(workers=2, functions=5, rate=20, duration_s=300,
                                  async_share=0.0).check())
        self.assertLess(figures["coldShare"], 0.02)


class Inputs(unittest.TestCase):
    def test_a_distribution_answers_the_smallest_value_of_a_share(self):
        read = Distribution([(1, 0.5), (10, 0.9), (100, 0.99)])
        self.assertEqual([read.at_share(x) for x in (0.1, 0.5, 0.6, 0.95, 1.0)],
                         [1, 1, 10, 100, 100])

    def test_a_distribution_that_falls_is_refused(self):
        with self.assertRaises(ValueError):
            Distribution([(1, 0.5), (2, 0.4)])

    def test_a_spread_has_its_two_points(self):
        draws = random.Random(1)
        values = sorted(Spread(0.01, 0.03).draw(draws) for _ in range(20000))
        self.assertAlmostEqual(values[10000], 0.01, delta=0.0005)
        self.assertAlmostEqual(values[18000], 0.03, delta=0.002)

    def test_settings_outside_of_their_bounds_are_refused_with_the_option(self):
        with self.assertRaisesRegex(ValueError, "--workers must be within"):
            Settings(workers=1001).check()
        with self.assertRaisesRegex(ValueError, "--scaling"):
            Settings(workers=0).check()


class Program(unittest.TestCase):
    def sim(self, *options):
        return subprocess.run([ROOT / "tools" / "sim", *options], capture_output=True, text=True,
                              check=False)

    def test_json_has_a_run_for_each_value_that_is_varied(self):
        done = self.sim("--vary", "workers=1,2", "--duration-s", "5", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([each["settings"]["workers"] for each in json.loads(done.stdout)], [1, 2])

    def test_traces_are_read_from_their_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("execTime", "5,0.5\n50,1.0\n"), ("invokes", "1, 0.5\n99, 1.0\n"),
                               ("mem", "100,0.5\n300,1.0\n")):
                pathlib.Path(folder, f"serverlessbench-{name}CDF.csv").write_text(text)
            done = self.sim("--traces", folder, "--functions", "4", "--duration-s", "5")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_mistakes_are_told_with_what_to_do(self):
        for options in (("--workers", "0"), ("--vary", "nothing=1"), ("--traces", "/nowhere")):
            done = self.sim(*options)
            self.assertEqual(done.returncode, 2, options)
            self.assertIn("do:", done.stderr)

    def test_a_measured_run_that_the_model_explains_agrees_and_another_one_does_not(self):
        kind = {"accept": [0.0, 0.0], "delay": [0.002, 0.002], "run": [0.1, 0.1], "place": 0.102,
                "runs": [{"load": 0.5, "hostLoad": 1.0, "arrivals": [0.0, 0.01, 1.0, 2.0],
                          "delays": [0.002, 0.094, 0.002, 0.002]}]}
        measured = {"date": "2026-01-01", "machine": "none", "hostLoad": [1, 1], "places": 1,
                    "seed": 1, "calls": kind, "jobs": kind}
        self.assertTrue(all(row["agrees"] for row in validation.compare(measured)))
        kind["runs"][0]["delays"] = [0.2, 0.2, 0.2, 0.2]
        self.assertFalse(any(row["agrees"] for row in validation.compare(measured)))


if __name__ == "__main__":
    unittest.main()
