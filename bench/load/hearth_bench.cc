#include <cstdio>
#include <fstream>
#include <utility>

#include <CLI/CLI.hpp>

#include "base/concat.h"
#include "bench/load/report.h"
#include "bench/load/server.h"
#include "uring/ring.h"

namespace {

using namespace hearth;
using namespace hearth::bench;

constexpr const char* lessons = R"(
Examples, with a server started by `INFRA_API_KEY=secret hearth dev` and the key in the environment:

  hearth-bench                       16 connections, one call after another on each: how much goes
                                     through when the callers wait for their answers
  hearth-bench --rate 2000 --svg latency.svg
                                     2000 calls a second, however long answers take: how long users
                                     wait. Latency counts from the moment a call was due, so that a
                                     stall shows in all the calls that it held up
  hearth-bench --mode cold --functions 200 --connections 4
                                     first calls of 200 functions
  hearth-bench --mode mixed --cold-share 0.02 --rate 500
  hearth-bench --mode trace --traces FOLDER --rate 200
                                     50 functions, called as often and running as long as traced
  hearth-bench --path /health -c 64  the HTTP layer alone
  hearth-bench --header 'x-async: true' --rate 500
                                     how fast jobs are accepted

How to read it: a closed loop finds the throughput, but slows down with the server and so hides
waits; for latencies use --rate, well below that throughput. Compare p50 and p99 of one run on a
quiet machine; look at the max of several. "Where the server spent it" is the difference of the
server's own /metrics: what a request took in the server, and how much of that in the sandbox. What
is left to the client's latency is the network and the waits before the server reads.

Uploaded functions are deleted at the end. Exits 1 when a call failed, 2 when the run could not be
made.)";

struct run_end {
    result<report> figures;
    result<> cleaned;
};

// The load has rings of its own, on other threads; this one's is idle meanwhile.
task<result<report>> measure(server& target, const options& chosen) {
    auto work = co_await target.prepare();
    if (!work) {
        co_return propagate(work);
    }
    if (chosen.warm_up_s > 0) {
        load_plan warming = chosen.plan;
        warming.duration = std::chrono::duration_cast<nanoseconds>(
            std::chrono::duration<double>(chosen.warm_up_s));
        // First calls are made once: those of the warm-up would be missing from what is measured.
        const double once_share = std::exchange(work->once_share, 0);
        warming.calls_max = 0;
        auto done = run_load(warming, *work);
        work->once_share = once_share;
        if (!done) {
            co_return propagate(done);
        }
    }
    const auto before = co_await target.metrics();
    auto done = run_load(chosen.plan, *work);
    if (!done) {
        co_return propagate(done);
    }
    const auto later = co_await target.metrics();
    report made{.chosen = chosen, .client = std::move(*done), .stages = {}};
    if (before && later) {
        add_stages(made, *before, *later);
    }
    co_return made;
}

task<run_end> run(const options& chosen) {
    server target(chosen);
    run_end end{.figures = co_await measure(target, chosen), .cleaned = {}};
    if (!chosen.keep) {
        end.cleaned = co_await target.clean_up();
    }
    co_await target.close();
    co_return end;
}

int say(const error& what) {
    std::fprintf(stderr, "hearth-bench: %s\n", what.message.c_str());
    return 2;
}

result<> write_svg(const report& from) {
    std::ofstream file(from.chosen.svg);
    file << to_svg(from);
    file.close();
    return file ? result<>() : fail_errno(concat("--svg ", from.chosen.svg));
}

int finish(const run_end& end) {
    if (!end.figures) {
        return say(end.figures.error());
    }
    const report& made = *end.figures;
    std::fputs((made.chosen.json ? to_json(made) + "\n" : to_table(made)).c_str(), stdout);
    if (!made.chosen.svg.empty()) {
        if (const auto written = write_svg(made); !written) {
            return say(written.error());
        }
    }
    if (!end.cleaned) {
        return say(end.cleaned.error());
    }
    return made.client.errors.empty() && made.client.not_sent == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Puts load on a Hearth server and says how long its answers took.");
    app.set_version_flag("--version", "hearth-bench " HEARTH_VERSION);
    app.footer(lessons);
    options chosen;
    add_options(app, chosen);
    CLI11_PARSE(app, argc, argv);
    if (const auto done = complete(chosen); !done) {
        return say(done.error());
    }
    auto loop = uring::ring::create();
    if (!loop) {
        return say(loop.error());
    }
    return finish((*loop)->run(run(chosen)));
}
