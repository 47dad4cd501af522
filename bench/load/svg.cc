// The latency curve. Both axes are logarithmic: upwards the latency, to the right how rare a call
// is (each tick a tenth of the calls before it), so that the tail is as wide as the middle.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/concat.h"
#include "bench/load/report.h"

namespace hearth::bench {
namespace {

constexpr double width = 860;
constexpr double height = 480;
constexpr double left = 80;
constexpr double right = 24;
constexpr double top = 56;
constexpr double bottom = 56;
constexpr double ns_per_us = 1e3;
constexpr double us_per_ms = 1e3;

struct axes {
    double decades = 1;  // of rarity, from 1 call in 1
    double lowest = 0;   // log10 of µs
    double highest = 1;

    [[nodiscard]] double x_of(double share) const {
        const double rarity = -std::log10(std::max(1 - share, std::pow(10, -decades)));
        return left + (width - left - right) * std::min(rarity / decades, 1.0);
    }
    [[nodiscard]] double y_of(double us) const {
        const double part = (std::log10(std::max(us, 1e-3)) - lowest) / (highest - lowest);
        return height - bottom - (height - top - bottom) * std::clamp(part, 0.0, 1.0);
    }
};

std::string number(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", value);
    return text.data();
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
    }
    return out;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view content) {
    return concat("<text x=\"", number(x), "\" y=\"", number(y), "\" text-anchor=\"", anchor, "\">",
                  escaped(content), "</text>\n");
}

std::string line(double x1, double y1, double x2, double y2) {
    return concat("<line class=\"grid\" x1=\"", number(x1), "\" y1=\"", number(y1), "\" x2=\"",
                  number(x2), "\" y2=\"", number(y2), "\"/>\n");
}

// "500 µs", "20 ms", "3 s"
std::string duration_text(double us) {
    std::array<char, 32> text{};
    if (us < us_per_ms) {
        std::snprintf(text.data(), text.size(), "%g µs", us);
    } else if (us < us_per_ms * us_per_ms) {
        std::snprintf(text.data(), text.size(), "%g ms", us / us_per_ms);
    } else {
        std::snprintf(text.data(), text.size(), "%g s", us / us_per_ms / us_per_ms);
    }
    return text.data();
}

axes axes_of(const measured& of) {
    axes made;
    const double calls = static_cast<double>(std::max<std::uint64_t>(of.from_due.count(), 10));
    made.decades = std::ceil(std::log10(calls));
    const auto exponent = [](std::uint64_t ns) {
        return std::log10(std::max(static_cast<double>(ns) / ns_per_us, 1.0));
    };
    made.lowest = std::floor(exponent(std::min(of.from_due.min(), of.from_sent.min())));
    made.highest = std::max(std::ceil(exponent(of.from_due.max())), made.lowest + 1);
    return made;
}

std::string grid(const axes& on) {
    std::string out;
    for (double decade = 0; decade <= on.decades; ++decade) {
        const double share = 1 - std::pow(10, -decade);
        const double x = on.x_of(share);
        out += line(x, top, x, height - bottom);
        std::array<char, 32> label{};
        const int digits = std::max(0, static_cast<int>(decade) - 2);
        std::snprintf(label.data(), label.size(), "%.*f %%", digits, share * 100);
        out += text_at(x, height - bottom + 18, "middle",
                       decade == on.decades ? "100 %" : label.data());
    }
    for (double exponent = on.lowest; exponent <= on.highest; ++exponent) {
        for (const double factor : {1.0, 2.0, 5.0}) {
            const double us = std::pow(10, exponent) * factor;
            if (std::log10(us) > on.highest + 1e-9) {
                continue;
            }
            out += line(left, on.y_of(us), width - right, on.y_of(us));
            out += text_at(left - 8, on.y_of(us) + 4, "end", duration_text(us));
        }
    }
    return out;
}

std::string polyline(const axes& on, const histogram& of, std::string_view name) {
    constexpr unsigned per_halving = 8;
    std::string points;
    for (const auto& [share, value] : of.curve(per_halving)) {
        points += concat(number(on.x_of(share)), ',',
                         number(on.y_of(static_cast<double>(value) / ns_per_us)), ' ');
    }
    return concat("<polyline class=\"", name, "\" points=\"", points, "\"/>\n");
}

}  // namespace

std::string to_svg(const report& from) {
    const axes on = axes_of(from.client);
    std::array<char, 64> rate{};
    std::snprintf(rate.data(), rate.size(), "%.0f calls/s, %llu calls", from.client.per_second(),
                  static_cast<unsigned long long>(from.client.from_sent.count()));
    std::string out = concat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ",
                             static_cast<int>(width), ' ', static_cast<int>(height), "\">\n");
    out +=
        "<style>text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}"
        "polyline{fill:none;stroke-width:2}.due{stroke:#b5342c}.sent{stroke:#2c6db5}"
        ".title{font-size:14px}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
    out +=
        concat("<g class=\"title\">", text_at(left, 20, "start", describe(from.chosen)), "</g>\n");
    const bool open = from.chosen.plan.rate > 0;
    out += text_at(left, 40, "start",
                   concat(rate.data(), open ? "; red: from when a call was due, blue: from its "
                                              "sending"
                                            : ""));
    out += grid(on);
    out += text_at((left + width - right) / 2, height - 12, "middle",
                   "share of calls that are at most this slow");
    if (open) {
        out += polyline(on, from.client.from_due, "due");
    }
    return concat(out, polyline(on, from.client.from_sent, "sent"), "</svg>\n");
}

}  // namespace hearth::bench
