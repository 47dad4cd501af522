#include "worker/remove_tree.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/unique_fd.h"
#include "tests/port/temporary_directory.h"
#include "tests/support/sockets.h"

namespace hearth::worker {
namespace {

namespace fs = std::filesystem;

class remove_tree_test : public ::testing::Test {
protected:
    void remove(const std::string& name = "tree") {
        const unique_fd folder(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY));
        const std::size_t before = test::open_descriptors();
        const auto removed = remove_tree(folder.get(), name);
        EXPECT_TRUE(removed) << removed.error().message;
        EXPECT_FALSE(fs::exists(fs::symlink_status(directory_.file(name))));
        EXPECT_EQ(test::open_descriptors(), before);
    }
    test::temporary_directory directory_;
};

TEST_F(remove_tree_test, removes_files_folders_and_special_files) {
    fs::create_directories(directory_.file("tree/a/b"));
    fs::create_directories(directory_.file("tree/c"));
    std::ofstream(directory_.file("tree/a/b/file")) << "x";
    std::ofstream(directory_.file("tree/\n")) << "x";
    ASSERT_EQ(::mkfifo(directory_.file("tree/a/pipe").c_str(), 0600), 0);
    remove();
}

TEST_F(remove_tree_test, an_absent_name_and_a_file_are_fine) {
    remove();
    std::ofstream(directory_.file("tree")) << "x";
    remove();
}

TEST_F(remove_tree_test, follows_no_link) {
    fs::create_directories(directory_.file("elsewhere/kept"));
    fs::create_directories(directory_.file("tree/a"));
    fs::create_directory_symlink(directory_.file("elsewhere"), directory_.file("tree/link"));
    fs::create_directory_symlink(directory_.file("elsewhere"), directory_.file("tree/a/link"));
    remove();
    fs::create_directory_symlink(directory_.file("elsewhere"), directory_.file("tree"));
    remove();
    EXPECT_TRUE(fs::exists(directory_.file("elsewhere/kept")));
}

TEST_F(remove_tree_test, no_depth_is_too_deep) {
    // Deeper than a path can name and than descriptors are allowed.
    constexpr int depth = 5'000;
    ASSERT_EQ(::mkdir(directory_.file("tree").c_str(), 0700), 0);
    unique_fd at(::open(directory_.file("tree").c_str(), O_RDONLY | O_DIRECTORY));
    for (int i = 0; i < depth; ++i) {
        ASSERT_EQ(::mkdirat(at.get(), "d", 0700), 0);
        at.reset(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY));
        ASSERT_TRUE(at) << i;
    }
    at.reset();
    remove();
}

TEST_F(remove_tree_test, names_that_are_numbers_are_no_obstacle) {
    // The names that folders are moved up to are taken.
    for (int i = 0; i < 5; ++i) {
        fs::create_directories(directory_.file(concat("tree/", i, "/1/x")));
        fs::create_directories(directory_.file(concat("tree/a/", i, "/y")));
        std::ofstream(directory_.file(concat("tree/", i + 10))) << "x";
    }
    remove();
}

}  // namespace
}  // namespace hearth::worker
