#include "sandbox/protocol.h"

#include <cstring>

#include "base/concat.h"

namespace hearth::sandbox {
namespace {

template <class Packet>
result<Packet> take(std::span<const std::byte> packet, std::size_t descriptors,
                    std::size_t descriptors_min, std::size_t descriptors_max) {
    if (packet.size() != sizeof(Packet)) {
        return fail(errc::protocol,
                    concat("a packet of ", packet.size(), " bytes, not ", sizeof(Packet)));
    }
    if (descriptors < descriptors_min || descriptors > descriptors_max) {
        return fail(errc::protocol, concat("a packet with ", descriptors, " descriptors"));
    }
    Packet out;
    std::memcpy(&out, packet.data(), sizeof out);
    return out;
}

result<packet_header> take_header(std::span<const std::byte> packet) {
    packet_header header;
    if (packet.size() < sizeof header) {
        return fail(errc::protocol, concat("a packet of ", packet.size(), " bytes"));
    }
    std::memcpy(&header, packet.data(), sizeof header);
    if (header.version != protocol_version) {
        return fail(errc::protocol,
                    concat("protocol version ", header.version, ", this build speaks ",
                           protocol_version, ": install worker and sandboxd of one release"));
    }
    if (header.reserved != 0) {
        return fail(errc::protocol, "a reserved header field is not zero");
    }
    return header;
}

template <std::size_t Size>
bool is_terminated(const std::array<char, Size>& field) {
    return std::memchr(field.data(), '\0', Size) != nullptr;
}

template <class T>
result<> check_range(std::string_view name, T value, T low, T high) {
    if (value < low || value > high) {
        return fail(errc::invalid_argument,
                    concat(name, " is ", value, ", must be between ", low, " and ", high));
    }
    return {};
}

result<request> decode_create(std::span<const std::byte> packet, std::size_t descriptors) {
    auto created = take<create_packet>(packet, descriptors, create_descriptors, create_descriptors);
    if (!created) {
        return propagate(created);
    }
    if (created->family > zygote_family::numpy || created->header.sandbox_id == 0) {
        return fail(errc::protocol, "a create request with an unknown zygote or a bad id");
    }
    if (auto limits = check_limits(*created); !limits) {
        return fail(errc::protocol, std::move(limits.error().message));
    }
    return request(*created);
}

result<event> decode_hello(std::span<const std::byte> packet, std::size_t descriptors) {
    auto hello = take<hello_packet>(packet, descriptors, 0, 0);
    if (!hello) {
        return propagate(hello);
    }
    const bool flags_ok = hello->limits_memory <= 1 && hello->limits_pids <= 1 &&
                          hello->limits_cpu <= 1 && hello->one_user <= 1;
    if (hello->form > cgroup_form::unified || hello->slots == 0 || hello->slots > slots_max ||
        !flags_ok) {
        return fail(errc::protocol, "a hello with fields out of range");
    }
    return event(*hello);
}

result<event> decode_start_failed(std::span<const std::byte> packet, std::size_t descriptors) {
    auto failed = take<start_failed_packet>(packet, descriptors, 0, 0);
    if (!failed) {
        return propagate(failed);
    }
    if (!is_terminated(failed->text)) {
        return fail(errc::protocol, "a start failure without a terminated text");
    }
    return event(*failed);
}

result<event> decode_created(std::span<const std::byte> packet, std::size_t descriptors) {
    auto created =
        take<created_packet>(packet, descriptors, created_descriptors_min, created_descriptors_max);
    if (!created) {
        return propagate(created);
    }
    const bool way_ok = created->way >= start_way::program && created->way <= start_way::parked;
    const bool gauges_ok = created->gauges < 1U << gauge_count;
    if (created->init_pid <= 0 || !way_ok || !gauges_ok) {
        return fail(errc::protocol, "a created packet with fields out of range");
    }
    const auto shown = static_cast<std::size_t>(std::popcount(created->gauges));
    if (descriptors != created_descriptors_min + shown) {
        return fail(errc::protocol, concat("a created packet of ", shown, " gauges with ",
                                           descriptors, " descriptors"));
    }
    return event(*created);
}

result<event> decode_create_failed(std::span<const std::byte> packet, std::size_t descriptors) {
    auto failed = take<create_failed_packet>(packet, descriptors, 0, 0);
    if (!failed) {
        return propagate(failed);
    }
    if (failed->reserved != 0 || !is_terminated(failed->stage) || !is_terminated(failed->text)) {
        return fail(errc::protocol, "a creation failure with bad fields");
    }
    return event(*failed);
}

result<event> decode_exited(std::span<const std::byte> packet, std::size_t descriptors) {
    auto exited = take<exited_packet>(packet, descriptors, 0, 0);
    if (!exited) {
        return propagate(exited);
    }
    const bool kind_ok = exited->kind == exit_kind::code || exited->kind == exit_kind::signal;
    if (!kind_ok || exited->killed_on_request > 1 || exited->reserved_end != 0 ||
        exited->reserved != std::array<std::uint8_t, 3>{}) {
        return fail(errc::protocol, "an exited packet with fields out of range");
    }
    return event(*exited);
}

result<event> decode_pool(std::span<const std::byte> packet, std::size_t descriptors) {
    auto pool = take<pool_packet>(packet, descriptors, 0, 0);
    if (!pool) {
        return propagate(pool);
    }
    if (pool->parked > parked_max || pool->zygote > 1 || pool->shells > shells_max ||
        pool->zygotes > zygotes_max) {
        return fail(errc::protocol, "a pool packet with fields out of range");
    }
    return event(*pool);
}

}  // namespace

std::string_view name_of(zygote_mode mode) {
    switch (mode) {
        case zygote_mode::off:
            return "off";
        case zygote_mode::shared:
            return "shared";
        case zygote_mode::per_function:
            return "per-function";
    }
    return {};
}

result<> check_limits(const create_packet& wanted) {
    const std::uint64_t page = 4096;
    if (auto ok = check_range("memory_mb", wanted.memory_mb, memory_mb_min, memory_mb_max); !ok) {
        return ok;
    }
    if (auto ok = check_range("pids", wanted.pids, pids_min, pids_max); !ok) {
        return ok;
    }
    if (auto ok = check_range("tmp_bytes", wanted.tmp_bytes, page, tmp_bytes_max); !ok) {
        return ok;
    }
    if (auto ok = check_range("shm_bytes", wanted.shm_bytes, page, shm_bytes_max); !ok) {
        return ok;
    }
    if (wanted.cpu_millis == 0) {
        return {};
    }
    return check_range("cpu_millis", wanted.cpu_millis, cpu_millis_min, cpu_millis_max);
}

result<request> decode_request(std::span<const std::byte> packet, std::size_t descriptors) {
    const auto header = take_header(packet);
    if (!header) {
        return std::unexpected(header.error());
    }
    switch (header->type) {
        case packet_type::create:
            return decode_create(packet, descriptors);
        case packet_type::kill: {
            auto kill = take<kill_packet>(packet, descriptors, 0, 0);
            if (!kill) {
                return propagate(kill);
            }
            return request(*kill);
        }
        default:
            return fail(errc::protocol, "a request of unknown type");
    }
}

result<event> decode_event(std::span<const std::byte> packet, std::size_t descriptors) {
    const auto header = take_header(packet);
    if (!header) {
        return std::unexpected(header.error());
    }
    switch (header->type) {
        case packet_type::hello:
            return decode_hello(packet, descriptors);
        case packet_type::start_failed:
            return decode_start_failed(packet, descriptors);
        case packet_type::created:
            return decode_created(packet, descriptors);
        case packet_type::create_failed:
            return decode_create_failed(packet, descriptors);
        case packet_type::exited:
            return decode_exited(packet, descriptors);
        case packet_type::pool:
            return decode_pool(packet, descriptors);
        default:
            return fail(errc::protocol, "an event of unknown type");
    }
}

}  // namespace hearth::sandbox
