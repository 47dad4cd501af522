#include "privileges.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/concat.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

bool may_search(const struct stat& status, const service_user& user) {
    if (status.st_uid == user.uid) {
        return (status.st_mode & S_IXUSR) != 0;
    }
    if (status.st_gid == user.gid) {
        return (status.st_mode & S_IXGRP) != 0;
    }
    return (status.st_mode & S_IXOTH) != 0;
}

// Every folder on the way must let the user through; root would not notice that one does not.
result<> check_reachable(const fs::path& folder, const service_user& user) {
    fs::path walked;
    for (const fs::path& part : folder) {
        walked /= part;
        struct stat status{};
        if (::stat(walked.c_str(), &status) != 0) {
            return fail_errno(concat("cannot look at ", walked.string()));
        }
        if (!may_search(status, user)) {
            return fail(errc::permission_denied,
                        concat("the data folder ", folder.string(), " cannot be reached by uid ",
                               user.uid, ", under which Hearth serves: ", walked.string(),
                               " does not let it through. Choose another --data-dir, such as "
                               "/var/lib/hearth, or chmod o+x ",
                               walked.string()));
        }
    }
    return {};
}

}  // namespace

service_user find_service_user() {
    if (::geteuid() != 0) {
        return {::geteuid(), ::getegid()};
    }
    if (const passwd* account = ::getpwnam("hearth"); account != nullptr && account->pw_uid != 0) {
        return {account->pw_uid, account->pw_gid};
    }
    return {nameless_service_uid, nameless_service_uid};
}

result<> prepare_folder(const std::string& folder, const service_user& user) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) {
        return fail(errc::io, concat("cannot make the folder ", folder, ": ", failed.message()));
    }
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail_errno(concat("cannot open the folder ", folder));
    }
    const bool prepared = ::fchmod(fd, S_IRWXU) == 0 && ::fchown(fd, user.uid, user.gid) == 0;
    const int os_error = errno;
    ::close(fd);
    if (!prepared) {
        return fail_errno(concat("cannot own the folder ", folder), os_error);
    }
    return check_reachable(fs::canonical(folder, failed), user);
}

void provide_open_files(std::size_t wanted) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < wanted) {
        log::warning(
            "few files may be open: connections may be refused under load; raise the limit with "
            "ulimit -n or LimitNOFILE=",
            {{"limit", limit.rlim_max}, {"wanted", wanted}});
    }
    const std::size_t reserved = std::min<std::size_t>(wanted, limit.rlim_cur);
    const unique_fd any(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const unique_fd highest(::fcntl(any.get(), F_DUPFD_CLOEXEC, static_cast<int>(reserved) - 1));
    if (!highest) {
        log::warning("the table of open files grows while calls wait",
                     {{"reason", std::generic_category().message(errno)}});
    }
}

result<> drop_privileges(const service_user& user) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail_errno("no_new_privs");
    }
    if (::geteuid() != 0) {
        return {};
    }
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
        ::setresuid(user.uid, user.uid, user.uid) != 0) {
        return fail_errno("cannot give up root");
    }
    if (::setuid(0) == 0) {
        return fail(errc::internal, "root could be taken back");
    }
    return {};
}

}  // namespace hearth
