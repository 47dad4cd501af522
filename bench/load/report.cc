#include "bench/load/report.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/concat.h"
#include "base/json.h"

namespace hearth::bench {
namespace {

struct named_share {
    const char* name;
    double share;
};
constexpr std::array shares{named_share{"p50", 0.5}, named_share{"p90", 0.9},
                            named_share{"p99", 0.99}, named_share{"p99.9", 0.999},
                            named_share{"p99.99", 0.9999}};
constexpr std::array stage_shares{named_share{"p50", 0.5}, named_share{"p99", 0.99}};

constexpr double ns_per_us = 1e3;
constexpr double us_per_s = 1e6;

double microseconds_of(std::uint64_t nanoseconds_value) {
    return static_cast<double>(nanoseconds_value) / ns_per_us;
}

template <class... Values>
std::string format(const char* how, Values... values) {
    std::array<char, 256> text{};
    const int size = std::snprintf(text.data(), text.size(), how, values...);
    return {text.data(), std::min(static_cast<std::size_t>(std::max(size, 0)), text.size() - 1)};
}

std::string_view name_of(mode what) {
    switch (what) {
        case mode::warm:
            return "warm";
        case mode::cold:
            return "cold";
        case mode::mixed:
            return "mixed";
        case mode::trace:
            return "trace";
    }
    return "unknown";
}

std::string table_row(std::string_view name, const histogram& of) {
    std::string row = format("%-22.*s", static_cast<int>(name.size()), name.data());
    row += format("%10.0f%10.0f", microseconds_of(of.min()), of.mean() / ns_per_us);
    for (const auto& [label, share] : shares) {
        row += format("%10.0f", microseconds_of(of.at_share(share)));
    }
    return row + format("%11.0f\n", microseconds_of(of.max()));
}

std::string stage_table(const report& from) {
    std::string out = "\nwhere the server spent it, µs   calls      mean       p50       p99\n";
    for (const auto& [name, figures] : from.stages) {
        out += format("%-26s%11.0f%10.0f%10.0f%10.0f\n", name.c_str(), figures.count,
                      figures.mean_s() * us_per_s, figures.at_share(0.5) * us_per_s,
                      figures.at_share(0.99) * us_per_s);
    }
    const double calls = std::max(1.0, static_cast<double>(from.client.from_sent.count()));
    out += format("cold starts %.0f; for each call %.2f system calls with %.2f operations\n",
                  from.cold_starts, from.ring_enters / calls, from.ring_submissions / calls);
    return out;
}

std::uint64_t error_count(const measured& of) {
    std::uint64_t sum = 0;
    for (const auto& [reason, count] : of.errors) {
        sum += count;
    }
    return sum;
}

void write_latency(json::writer& out, std::string_view name, const histogram& of) {
    out.begin_object(name);
    out.member("min", microseconds_of(of.min()));
    out.member("mean", of.mean() / ns_per_us);
    for (const auto& [label, share] : shares) {
        out.member(label, microseconds_of(of.at_share(share)));
    }
    out.member("max", microseconds_of(of.max()));
    out.end_object();
}

void write_server(json::writer& out, const report& from) {
    out.begin_object("server");
    out.member("coldStarts", from.cold_starts);
    out.member("ringEnters", from.ring_enters);
    out.member("ringSubmissions", from.ring_submissions);
    out.begin_array("stages");
    for (const auto& [name, figures] : from.stages) {
        out.begin_object();
        out.member("name", std::string_view(name));
        out.member("count", figures.count);
        out.member("meanUs", figures.mean_s() * us_per_s);
        for (const auto& [label, share] : stage_shares) {
            out.member(concat(label, "Us"), figures.at_share(share) * us_per_s);
        }
        out.end_object();
    }
    out.end_array();
    out.end_object();
}

}  // namespace

std::string describe(const options& chosen) {
    const auto& plan = chosen.plan;
    const std::string loop =
        plan.rate > 0
            ? format("open loop, %g calls/s%s", plan.rate,
                     plan.spacing == arrivals::spacing::even ? "" : " at random intervals")
            : std::string("closed loop");
    const std::string target = chosen.path.empty()
                                   ? concat(name_of(chosen.what), " calls")
                                   : concat(chosen.post ? "POST " : "GET ", chosen.path);
    return concat(target, " of ", plan.address, ", ", loop, ", ", plan.connections,
                  " connections, ", plan.threads, plan.threads == 1 ? " thread" : " threads");
}

void add_stages(report& into, const server_metrics& before, const server_metrics& later) {
    const auto add = [&](const char* name, std::string_view metric, std::string_view label) {
        const stage passed =
            difference(later.histogram(metric, label), before.histogram(metric, label));
        if (passed.count > 0) {
            into.stages.push_back({.name = name, .figures = passed});
        }
    };
    const auto passed = [&](std::string_view name) {
        return later.value(name) - before.value(name);
    };
    const std::string path = into.chosen.path.empty() ? "/run" : into.chosen.path;
    add("request, first to last", "http_request_duration_seconds", concat("route=\"", path, '"'));
    add("start of a sandbox", "hearth_sandbox_init_duration_seconds", {});
    add("in the sandbox", "hearth_invocation_duration_seconds", {});
    into.cold_starts = passed("hearth_cold_starts_total");
    into.ring_enters = passed("hearth_ring_enters");
    into.ring_submissions = passed("hearth_ring_submissions");
}

std::string to_table(const report& from) {
    std::string out = describe(from.chosen) + "\n";
    out += format("%.0f calls/s over %.1f s, %.1f MB/s received\n", from.client.per_second(),
                  from.client.seconds,
                  static_cast<double>(from.client.bytes_received) /
                      std::max(from.client.seconds, 1e-9) / 1e6);
    out += "\nlatency, µs                  min      mean";
    for (const auto& [label, share] : shares) {
        out += format("%10s", label);
    }
    out += "        max\n";
    if (from.chosen.plan.rate > 0) {
        out += table_row("from when it was due", from.client.from_due);
    }
    out += table_row("from its sending", from.client.from_sent);
    for (const auto& [reason, count] : from.client.errors) {
        out += format("%10.0f × ", static_cast<double>(count)) + reason + "\n";
    }
    if (from.client.not_sent > 0) {
        out += format(
            "%10.0f × due, but no connection was free: add --connections or lower "
            "--rate\n",
            static_cast<double>(from.client.not_sent));
    }
    return from.stages.empty() ? out : out + stage_table(from);
}

std::string to_json(const report& from) {
    json::writer out;
    out.begin_object();
    out.member("what", std::string_view(describe(from.chosen)));
    out.member("mode", name_of(from.chosen.what));
    out.member("loop", from.chosen.plan.rate > 0 ? "open" : "closed");
    out.member("rate", from.chosen.plan.rate);
    out.member("connections", from.chosen.plan.connections);
    out.member("threads", from.chosen.plan.threads);
    out.member("seconds", from.client.seconds);
    out.member("calls", from.client.from_sent.count());
    out.member("callsPerSecond", from.client.per_second());
    out.member("connects", from.client.connects);
    out.member("bytesReceived", from.client.bytes_received);
    out.member("notSent", from.client.not_sent);
    out.member("errorCount", error_count(from.client));
    out.begin_object("errors");
    for (const auto& [reason, count] : from.client.errors) {
        out.member(reason, count);
    }
    out.end_object();
    write_latency(out, "latencyUs", from.client.from_due);
    write_latency(out, "fromSendingUs", from.client.from_sent);
    out.key("curve");  // of latencyUs
    out.begin_array();
    for (const auto& [share, value] : from.client.from_due.curve()) {
        out.begin_array();
        out.value(share);
        out.value(microseconds_of(value));
        out.end_array();
    }
    out.end_array();
    write_server(out, from);
    out.end_object();
    return std::move(out).take();
}

}  // namespace hearth::bench
