#include "faas/job_ids.h"

#include <gtest/gtest.h>

#include "base/ids.h"

namespace hearth::faas {
namespace {

TEST(job_ids, an_id_says_when_it_was_given_out) {
    const job_ids ours("a secret");
    const auto before = wall_clock_ms();
    const std::string id = ours.make();
    EXPECT_TRUE(is_well_formed_id(id)) << id;
    const auto issued = job_ids("a secret").issued_at(id);
    ASSERT_TRUE(issued);
    EXPECT_GE(*issued, before);
    EXPECT_LE(*issued, wall_clock_ms());
}

TEST(job_ids, no_two_are_alike) {
    const job_ids ours("a secret");
    EXPECT_NE(ours.make(), ours.make());
}

TEST(job_ids, others_are_not_taken_for_ours) {
    const job_ids ours("a secret");
    EXPECT_FALSE(ours.issued_at(job_ids("another secret").make()));
    EXPECT_FALSE(ours.issued_at(make_uuid()));
    EXPECT_FALSE(ours.issued_at(""));
    EXPECT_FALSE(ours.issued_at(std::string(53, '0')));
}

TEST(job_ids, a_changed_character_anywhere_is_seen) {
    const job_ids ours("a secret");
    const std::string id = ours.make();
    for (std::size_t i = 0; i < id.size(); ++i) {
        std::string changed = id;
        changed[i] = changed[i] == '0' ? '1' : '0';
        EXPECT_FALSE(ours.issued_at(changed)) << i;
    }
    EXPECT_FALSE(ours.issued_at(id + "0"));
    EXPECT_FALSE(ours.issued_at(id.substr(0, id.size() - 1)));
}

}  // namespace
}  // namespace hearth::faas
