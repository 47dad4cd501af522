#include "sandbox/zygote_supply.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <fcntl.h>

namespace hearth::sandbox {
namespace {

// For descriptors that must not be in the way of the number that a zygote's socket will have.
constexpr int first_safe_number = 16;

unique_fd copy_of(const unique_fd& program) {
    return unique_fd(program ? ::fcntl(program.get(), F_DUPFD_CLOEXEC, first_safe_number) : -1);
}

}  // namespace

result<zygote_supply> zygote_supply::make(const daemon_options& options, const unique_fd& program,
                                          std::span<const char* const> environment) {
    zygote_supply made;
    const std::array<std::string, zygote_families> modules{options.zygote_modules,
                                                           options.numpy_modules};
    const std::chrono::minutes age_max(options.zygote_minutes);
    if (options.zygote == zygote_mode::per_function) {
        auto each = function_zygotes::make(copy_of(program), options.python, environment,
                                           {.modules = modules,
                                            .has_numpy = !options.numpy_modules.empty(),
                                            .forks_max = options.zygote_forks,
                                            .age_max = age_max,
                                            .spares = options.zygote_spares,
                                            .functions_max = options.zygote_functions,
                                            .idle_max = seconds(options.zygote_idle_seconds)});
        if (!each) {
            return propagate(each);
        }
        made.functions_ = std::make_unique<function_zygotes>(std::move(*each));
        return made;
    }
    for (std::size_t i = 0; i < zygote_families; ++i) {
        const auto family = static_cast<zygote_family>(i);
        const bool has = family == zygote_family::standard || !modules[i].empty();
        auto one =
            zygote_keeper::make(has ? copy_of(program) : unique_fd(), options.python, environment,
                                {.family = family,
                                 .modules = modules[i],
                                 .forks_max = options.zygote_forks,
                                 .age_max = age_max});
        if (!one) {
            return propagate(one);
        }
        made.shared_.push_back(std::make_unique<zygote_keeper>(std::move(*one)));
    }
    return made;
}

std::vector<int> zygote_supply::descriptors() const {
    if (functions_) {
        return {functions_->descriptor()};
    }
    std::vector<int> all;
    all.reserve(shared_.size());
    for (const auto& each : shared_) {
        all.push_back(each->descriptor());
    }
    return all;
}

void zygote_supply::dispatch() {
    if (functions_) {
        functions_->dispatch();
    }
    for (const auto& each : shared_) {
        each->dispatch();
    }
}

// Of shared ones the family is the name.
std::uint64_t zygote_supply::take(zygote_family family, const function_key& function) {
    if (functions_) {
        return functions_->take(family, function);
    }
    zygote_keeper& keeper = *shared_[static_cast<std::size_t>(family)];
    keeper.want();
    return keeper.ready() ? static_cast<std::uint64_t>(family) + 1 : 0;
}

bool zygote_supply::has_own(zygote_family family, const function_key& function) const {
    return functions_ && functions_->has_for(family, function);
}

bool zygote_supply::ready() const {
    return functions_ ? functions_->has_spare() : standard().ready();
}

bool zygote_supply::serves() const {
    return functions_ ? functions_->serves() : standard().ready();
}

bool zygote_supply::starting() const {
    return functions_ ? functions_->starting() && !functions_->serves() : standard().starting();
}

std::uint32_t zygote_supply::count() const {
    if (functions_) {
        return functions_->count();
    }
    return std::accumulate(shared_.begin(), shared_.end(), 0U,
                           [](std::uint32_t sum, const auto& each) { return sum + each->count(); });
}

result<> zygote_supply::fork(std::uint64_t zygote, const fork_request& request,
                             std::span<const int> descriptors) {
    if (functions_) {
        return functions_->fork(zygote, request, descriptors);
    }
    if (zygote == 0) {
        return fail(errc::internal, "a fork was asked of no zygote");
    }
    return shared_[zygote - 1]->fork(request, descriptors);
}

void zygote_supply::note_fork(std::uint64_t zygote, bool succeeded) {
    if (functions_) {
        functions_->note_fork(zygote, succeeded);
    } else if (zygote != 0) {
        shared_[zygote - 1]->note_fork(succeeded);
    }
}

void zygote_supply::note_end(std::uint64_t zygote) {
    if (functions_) {
        functions_->note_end(zygote);
    }
}

void zygote_supply::shut_down() {
    if (functions_) {
        functions_->shut_down();
    }
    for (const auto& each : shared_) {
        each->shut_down();
    }
}

}  // namespace hearth::sandbox
