#include "sandbox/protocol.h"

#include <vector>

#include <gtest/gtest.h>

namespace hearth::sandbox {
namespace {

create_packet good_create() {
    create_packet packet;
    packet.header.sandbox_id = 7;
    return packet;
}

bool accepts(const create_packet& packet) {
    return decode_request(bytes_of(packet), create_descriptors).has_value();
}

TEST(protocol, a_create_packet_survives_the_way_there) {
    auto packet = good_create();
    packet.memory_mb = 512;
    packet.cpu_millis = 1500;
    packet.function.words = {1, 2};
    const auto decoded = decode_request(bytes_of(packet), create_descriptors);
    ASSERT_TRUE(decoded.has_value());
    const auto& got = std::get<create_packet>(*decoded);
    EXPECT_EQ(got.header.sandbox_id, 7U);
    EXPECT_EQ(got.memory_mb, 512U);
    EXPECT_EQ(got.cpu_millis, 1500U);
    EXPECT_EQ(got.function, packet.function);
}

TEST(protocol, every_limit_of_a_create_is_enforced_at_both_ends) {
    const auto with = [](auto member, auto value) {
        auto packet = good_create();
        packet.*member = value;
        return packet;
    };
    EXPECT_TRUE(accepts(with(&create_packet::memory_mb, memory_mb_min)));
    EXPECT_FALSE(accepts(with(&create_packet::memory_mb, memory_mb_min - 1)));
    EXPECT_TRUE(accepts(with(&create_packet::memory_mb, memory_mb_max)));
    EXPECT_FALSE(accepts(with(&create_packet::memory_mb, memory_mb_max + 1)));
    EXPECT_FALSE(accepts(with(&create_packet::pids, pids_min - 1)));
    EXPECT_FALSE(accepts(with(&create_packet::pids, pids_max + 1)));
    EXPECT_FALSE(accepts(with(&create_packet::tmp_bytes, 0U)));
    EXPECT_FALSE(accepts(with(&create_packet::tmp_bytes, tmp_bytes_max + 1)));
    EXPECT_FALSE(accepts(with(&create_packet::shm_bytes, shm_bytes_max + 1)));
    EXPECT_FALSE(accepts(with(&create_packet::cpu_millis, cpu_millis_min - 1)));
    EXPECT_FALSE(accepts(with(&create_packet::cpu_millis, cpu_millis_max + 1)));
    EXPECT_FALSE(accepts(with(&create_packet::family, zygote_family{2})));
}

TEST(protocol, a_request_needs_its_exact_size_version_type_and_descriptors) {
    const auto good = good_create();
    const auto whole = bytes_of(good);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(decode_request(whole.first(size), create_descriptors).has_value()) << size;
    }
    std::vector<std::byte> longer(whole.begin(), whole.end());
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode_request(longer, create_descriptors).has_value());
    EXPECT_FALSE(decode_request(whole, 2).has_value());
    EXPECT_FALSE(decode_request(whole, 0).has_value());

    auto packet = good;
    packet.header.version = 99;
    EXPECT_FALSE(accepts(packet));
    packet = good;
    packet.header.reserved = 1;
    EXPECT_FALSE(accepts(packet));
    packet = good;
    packet.header.sandbox_id = 0;
    EXPECT_FALSE(accepts(packet));
    packet = good;
    packet.header.type = packet_type::created;
    EXPECT_FALSE(accepts(packet));
}

TEST(protocol, events_are_checked_as_strictly) {
    exited_packet exited;
    EXPECT_TRUE(decode_event(bytes_of(exited), 0).has_value());
    EXPECT_FALSE(decode_event(bytes_of(exited), 1).has_value());
    exited.kind = exit_kind{9};
    EXPECT_FALSE(decode_event(bytes_of(exited), 0).has_value());

    create_failed_packet failed;
    set_text(failed.stage, "pivot_root");
    EXPECT_TRUE(decode_event(bytes_of(failed), 0).has_value());
    failed.text.fill('x');
    EXPECT_FALSE(decode_event(bytes_of(failed), 0).has_value());

    created_packet created{.init_pid = 42};
    EXPECT_TRUE(decode_event(bytes_of(created), 2).has_value());
    EXPECT_FALSE(decode_event(bytes_of(created), 1).has_value());
    EXPECT_FALSE(decode_event(bytes_of(created), 3).has_value());
    created.gauges = (1U << gauge_count) - 1;
    EXPECT_TRUE(decode_event(bytes_of(created), created_descriptors_max).has_value());
    EXPECT_FALSE(decode_event(bytes_of(created), created_descriptors_max - 1).has_value());
    created.gauges = 1U << gauge_count;
    EXPECT_FALSE(decode_event(bytes_of(created), created_descriptors_min + 1).has_value());
    created.gauges = 0;
    created.way = start_way{0};
    EXPECT_FALSE(decode_event(bytes_of(created), 2).has_value());
    created.way = start_way::parked;
    created.init_pid = 0;
    EXPECT_FALSE(decode_event(bytes_of(created), 2).has_value());

    pool_packet pool{.parked = parked_max};
    EXPECT_TRUE(decode_event(bytes_of(pool), 0).has_value());
    ++pool.parked;
    EXPECT_FALSE(decode_event(bytes_of(pool), 0).has_value());
    pool = {.zygotes = zygotes_max};
    EXPECT_TRUE(decode_event(bytes_of(pool), 0).has_value());
    ++pool.zygotes;
    EXPECT_FALSE(decode_event(bytes_of(pool), 0).has_value());

    hello_packet hello{.slots = 1};
    EXPECT_TRUE(decode_event(bytes_of(hello), 0).has_value());
    hello.limits_cpu = 2;
    EXPECT_FALSE(decode_event(bytes_of(hello), 0).has_value());
    hello.limits_cpu = 1;
    hello.one_user = 1;
    EXPECT_TRUE(decode_event(bytes_of(hello), 0).has_value());
    hello.one_user = 2;
    EXPECT_FALSE(decode_event(bytes_of(hello), 0).has_value());
}

TEST(protocol, text_is_cut_to_its_field_and_always_terminated) {
    std::array<char, 8> field{};
    set_text(field, "0123456789");
    EXPECT_EQ(text_of(field), "0123456");
}

}  // namespace
}  // namespace hearth::sandbox
