#pragma once

#include <initializer_list>
#include <utility>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace hearth {

// Figures that are read off running parts when /metrics is asked for. The registry keeps them; a
// name that it has already gives the family that is there. The registry outlives this.
class gauges {
public:
    explicit gauges(prometheus::Registry& registry) : registry_(registry) {}

    template <class Number>
    void set(const char* name, const char* help, Number value,
             const prometheus::Labels& labels = {}) {
        prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels).Set(
            static_cast<double>(value));
    }
    // One for each value of a label.
    void set_each(const char* name, const char* help, const char* label,
                  std::initializer_list<std::pair<const char*, double>> figures) {
        for (const auto& [which, value] : figures) {
            set(name, help, value, {{label, which}});
        }
    }

private:
    prometheus::Registry& registry_;
};

}  // namespace hearth
