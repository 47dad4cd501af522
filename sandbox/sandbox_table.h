#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "sandbox/slots.h"
#include "sandbox/spawner.h"
#include "sandbox/status_pipe.h"

// The sandboxes that sandboxd knows, one per slot at most, from the create request until nothing is
// left of them.
//
//   starting --sealed--> running --init ended--> draining --cgroups removed--> (gone)
//      |  \---------------init ended or start deadline----^
//      |--all but Python, of no request--> shell --create, or to be parked--> starting
//      |                                     \---init ended----^
//      \--sealed, of no request--> parked --create--> running
//                                     \---init ended-----^
//
// What is reported depends on how far it came: create_failed if it never was created, else exited.
// A sandbox without an id belongs to no request; of its end nothing is reported.

namespace hearth::sandbox {

enum class sandbox_state { starting, shell, parked, running, draining };

struct sandbox_entry {
    std::uint64_t id = 0;  // 0: it belongs to no request yet
    std::uint32_t slot = 0;
    start_way way = start_way::program;
    sandbox_state state = sandbox_state::starting;
    started_sandbox process;
    steady_time requested_at;
    create_packet wanted;  // with `code`, until Python runs: enough to start it over
    unique_fd code;
    gauges shown;  // of a parked one: opened ahead, on their way to the worker
    bool was_sealed = false;
    bool was_created = false;  // and the worker was told so
    bool evicted = false;      // of no request, and killed for its slot
    bool killed_on_request = false;
    bool missed_start_deadline = false;
    bool out_of_memory = false;
    milestones made{};                     // by init
    milestones joined{};                   // by Python, where the zygote forked it
    steady_time began_at;                  // the start of all
    steady_time forked_at;                 // the zygote was asked
    unique_fd memory_event;                // v1 only
    std::optional<int> wait_status;        // of Python
    std::optional<status_record> failure;  // of a step of contain()
};

class sandbox_table {
public:
    explicit sandbox_table(std::uint32_t slots) : free_(slots), entries_(slots) {}

    [[nodiscard]] std::optional<std::uint32_t> take_slot() { return free_.take(); }
    void give_back_slot(std::uint32_t slot) { free_.give_back(slot); }
    [[nodiscard]] bool has_free_slot() const { return !free_.empty(); }

    [[nodiscard]] bool contains(std::uint64_t id) const { return by_id_.contains(id); }
    // With those that belong to no request.
    [[nodiscard]] std::size_t size() const { return size_; }

    sandbox_entry& insert(sandbox_entry entry) {
        const std::uint32_t slot = entry.slot;
        if (entry.id != 0) {
            by_id_.emplace(entry.id, slot);
        }
        ++size_;
        return entries_[slot].emplace(std::move(entry));
    }

    // A sandbox that belonged to no request does from now on.
    void assign(sandbox_entry& entry, std::uint64_t id) {
        entry.id = id;
        by_id_.emplace(id, entry.slot);
    }

    // Forgets the sandbox and frees its slot.
    void erase(std::uint32_t slot) {
        by_id_.erase(entries_[slot]->id);
        entries_[slot].reset();
        --size_;
        free_.give_back(slot);
    }

    // nullptr where there is none.
    [[nodiscard]] sandbox_entry* at_slot(std::uint32_t slot) {
        return slot < entries_.size() && entries_[slot] ? &*entries_[slot] : nullptr;
    }
    [[nodiscard]] sandbox_entry* find(std::uint64_t id) {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? nullptr : at_slot(found->second);
    }

    // The first that `matches`, or nullptr.
    [[nodiscard]] sandbox_entry* find_if(const std::function<bool(const sandbox_entry&)>& matches) {
        for (auto& entry : entries_) {
            if (entry && matches(*entry)) {
                return &*entry;
            }
        }
        return nullptr;
    }

    void for_each(const std::function<void(sandbox_entry&)>& visit) {
        for (auto& entry : entries_) {
            if (entry) {
                visit(*entry);
            }
        }
    }

private:
    slot_pool free_;
    std::vector<std::optional<sandbox_entry>> entries_;  // by slot
    std::unordered_map<std::uint64_t, std::uint32_t> by_id_;
    std::size_t size_ = 0;
};

}  // namespace hearth::sandbox
