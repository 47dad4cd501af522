// What a function cannot do. Each test asks from inside, through the libc and through raw system
// calls.

#include <fstream>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/concat.h"
#include "harness.h"

namespace hearth::sandbox::testing {
namespace {

// Helpers for the functions under test: a raw call's verdict, and an exception's errno name.
constexpr const char* probe_module = R"(
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(number, *arguments):
    ctypes.set_errno(0)
    got = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    return 'ok' if got >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(action):
    try:
        action()
        return 'ok'
    except OSError as problem:
        return errno.errorcode[problem.errno]
)";

std::string probe(const std::string& body) {
    const auto done = run_function({{"probe.py", probe_module},
                                    {"main.py",
                                     "from probe import *\nimport socket, fcntl\n"
                                     "def handler(event, context):\n" +
                                         body}});
    EXPECT_TRUE(done.result.is(frame_type::result))
        << done.init.payload << done.result.payload << done.output;
    return done.result.payload;
}

TEST(containment, the_root_and_the_code_are_read_only) {
    EXPECT_EQ(probe("    return [attempt(lambda p=p: open(p, 'w')) for p in\n"
                    "            ('/x', '/usr/x', '/etc/passwd', '/code/x', '/code/main.py',\n"
                    "             '/runtime/x', '/dev/x')]\n"),
              R"(["EROFS","EROFS","EROFS","EROFS","EROFS","EROFS","EROFS"])");
}

TEST(containment, the_root_holds_what_a_function_needs_and_no_more) {
    EXPECT_EQ(probe("    return [e for e in sorted(os.listdir('/')) if not e.startswith('lib')]\n"),
              R"(["bin","code","dev","etc","proc","runtime","sbin","tmp","usr"])");
    EXPECT_EQ(probe("    return sorted(os.listdir('/dev'))\n"),
              R"(["fd","full","null","random","shm","stderr","stdin","stdout","urandom","zero"])");
}

TEST(containment, proc_shows_the_functions_own_processes_and_no_kernel_tables) {
    EXPECT_EQ(probe("    return [sorted(e for e in os.listdir('/proc') if not e.isdigit()),\n"
                    "            [e for e in os.listdir('/proc') if e.isdigit()],\n"
                    "            os.getpid(), os.path.exists('/proc/1/cmdline'),\n"
                    "            os.path.exists('/sys'), os.path.exists('/proc/sys')]\n"),
              R"([["self","thread-self"],["2"],2,false,false,false])");
}

TEST(containment, the_descriptors_are_exactly_0_to_3) {
    EXPECT_EQ(probe("    return [[fd for fd in range(1024)\n"
                    "             if attempt(lambda: os.fstat(fd)) == 'ok'], "
                    "os.readlink('/proc/self/fd/0')]\n"),
              R"([[0,1,2,3],"/dev/null"])");
}

TEST(containment, every_capability_set_is_empty_and_no_new_privileges_can_come) {
    EXPECT_EQ(probe("    s = dict(l.split(':\\t') for l in open('/proc/self/status').read()\n"
                    "             .splitlines() if ':\\t' in l)\n"
                    "    return [s[k] for k in ('CapInh','CapPrm','CapEff','CapBnd','CapAmb',\n"
                    "                           'NoNewPrivs','Seccomp','Uid','Groups')]\n"),
              R"(["0000000000000000","0000000000000000","0000000000000000","0000000000000000",)"
              R"("0000000000000000","1","2","1000\t1000\t1000\t1000"," "])");
}

TEST(containment, each_slot_is_a_host_user_of_its_own_where_there_are_any) {
    const code_directory code({{"main.py", "def handler(event, context): return 1"}});
    sandbox_host host;
    auto first = host.create(code);
    auto second = host.create(code);
    const auto uid_of = [](pid_t process) {
        std::ifstream status(concat("/proc/", process, "/status"));
        std::string word;
        while (status >> word && word != "Uid:") {
        }
        unsigned uid = 0;
        status >> uid;
        return uid;
    };
    const unsigned one = uid_of(first->init_pid());
    const unsigned other = uid_of(second->init_pid());
    if (host.control().hello().one_user == 1) {
        EXPECT_NE(::geteuid(), 0U) << "root has users for its sandboxes";
        EXPECT_EQ(one, ::geteuid());
        EXPECT_EQ(other, ::geteuid());
    } else {
        // Of the ranges that tools hand out to nobody else.
        EXPECT_GE(one, 100'000U);
        EXPECT_GE(other, 100'000U);
        EXPECT_NE(one, other);
    }
    first->close_stream();
    second->close_stream();
}

TEST(containment, there_is_no_network) {
    EXPECT_EQ(
        probe("    def dial(family, where):\n"
              "        return attempt(lambda: socket.socket(family).connect(where))\n"
              "    v4, v6 = socket.AF_INET, socket.AF_INET6\n"
              "    return [dial(v4, ('169.254.169.254', 80)), dial(v4, ('127.0.0.1', 6379)),\n"
              "            dial(v4, ('10.0.0.1', 80)), dial(v6, ('fd00:ec2::254', 80)),\n"
              "            dial(v6, ('::1', 80))]\n"),
        R"(["ENETUNREACH","ENETUNREACH","ENETUNREACH","EADDRNOTAVAIL","EADDRNOTAVAIL"])");
}

TEST(containment, kernel_doors_are_denied_or_absent) {
    struct door {
        long number;
        const char* arguments;
        const char* verdict;
    };
    const std::vector<door> doors{
        {SYS_mount, "0, 0, 0, 0, 0", "EPERM"},
        {SYS_umount2, "0, 2", "EPERM"},
        {SYS_pivot_root, "0, 0", "EPERM"},
        {SYS_chroot, "0", "EPERM"},
        {SYS_unshare, "0x10000000", "EPERM"},
        {SYS_setns, "0, 0", "EPERM"},
        {SYS_ptrace, "0, 0, 0, 0", "EPERM"},
        {SYS_clone3, "0, 88", "ENOSYS"},
        {SYS_bpf, "0, 0, 0", "ENOSYS"},
        {SYS_io_uring_setup, "1, 0", "ENOSYS"},
        {SYS_userfaultfd, "0", "ENOSYS"},
        {SYS_perf_event_open, "0, 0, 0, 0, 0", "ENOSYS"},
        {SYS_keyctl, "0, 0", "ENOSYS"},
        {SYS_add_key, "0, 0, 0, 0, 0", "ENOSYS"},
        {SYS_process_vm_readv, "1, 0, 0, 0, 0, 0", "ENOSYS"},
        {SYS_pidfd_getfd, "0, 0, 0", "ENOSYS"},
        {SYS_open_tree, "-100, 0, 1", "ENOSYS"},
        {SYS_mount_setattr, "0, 0, 0, 0, 0", "ENOSYS"},
        {SYS_kexec_load, "0, 0, 0, 0", "EPERM"},
        {SYS_init_module, "0, 0, 0", "EPERM"},
        {SYS_reboot, "0, 0, 0, 0", "EPERM"},
        {SYS_swapon, "0, 0", "EPERM"},
        {SYS_open_by_handle_at, "0, 0, 0", "EPERM"},
        {SYS_name_to_handle_at, "0, 0, 0, 0, 0", "EPERM"},
        {SYS_splice, "0, 0, 0, 0, 0, 0", "EPERM"},
        {SYS_vmsplice, "0, 0, 0, 0", "EPERM"},
        {SYS_setuid, "0", "EPERM"},
        {SYS_syslog, "3, 0, 0", "EPERM"},
        {SYS_shmget, "0, 4096, 0o1600", "EPERM"},
        {SYS_personality, "0x0040000", "EPERM"},
        {SYS_seccomp, "0, 0, 0", "EPERM"},
        {SYS_mknodat, "-100, 0, 0o20666, 0x103", "EPERM"},
        {SYS_sched_setscheduler, "0, 1, 0", "EPERM"},
        {-1, "0", "ENOSYS"},
        {350, "0", "ENOSYS"},
        {999, "0", "ENOSYS"},
        {100'000, "0", "ENOSYS"},
    };
    std::string body = "    return [";
    std::string verdicts = "[";
    for (const door& each : doors) {
        body += concat("call(", each.number, ", ", each.arguments, "), ");
        verdicts += concat(verdicts.size() > 1 ? "," : "", "\"", each.verdict, "\"");
    }
    EXPECT_EQ(probe(body + "]\n"), verdicts + "]");
}

TEST(containment, argument_rules_cannot_be_dodged_with_bits_the_kernel_ignores) {
    // Families 38, 40, 16 and 17 are ALG, VSOCK, NETLINK and PACKET. 0x5412 is TIOCSTI, 1024
    // F_SETLEASE.
    EXPECT_EQ(probe("    out = []\n"
                    "    for high in (0, 1 << 32, 1 << 63, 0xffffffff << 32):\n"
                    "        s = high if high < 1 << 63 else high - (1 << 64)\n"
                    "        for family in (38, 40, 16, 17, 44):\n"
                    "            out.append(call(41, family | s, 2, 0))\n"
                    "        out.append(call(41, 2, 3 | s, 0))\n"
                    "        out.append(call(41, 2, 1, 132 | s))\n"
                    "        out.append(call(16, 0, 0x5412 | s, 0))\n"
                    "        out.append(call(72, 0, 1024 | s, 0))\n"
                    "        out.append(call(157, 35 | s, 1, 0, 0, 0))\n"
                    "        out.append(call(54, 0, 1 | s, 26, 0, 0))\n"
                    "        out.append(call(56, 0x10000000 | s, 0, 0, 0, 0))\n"
                    "        out.append(call(56, 0x80 | s, 0, 0, 0, 0))\n"
                    "    return sorted(set(out))\n"),
              R"(["EPERM"])");
    // The same bits do not turn what is allowed into something denied.
    EXPECT_EQ(probe("    return [call(41, 1 | (1 << 32), 1, 0), call(72, 0, 1 | (1 << 32), 0)]\n"),
              R"(["ok","ok"])");
}

TEST(containment, foreign_architectures_are_killed) {
    // x32, and int 0x80 from a page of one's own.
    for (const char* body : {"    call(0x40000000 | 39)\n",
                             "    import mmap\n"
                             "    page = mmap.mmap(-1, 4096, prot=7)\n"
                             "    page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
                             "    ctypes.CFUNCTYPE(ctypes.c_int)(\n"
                             "        ctypes.addressof(ctypes.c_char.from_buffer(page)))()\n"}) {
        const code_directory code(
            {{"probe.py", probe_module},
             {"main.py", concat("from probe import *\ndef handler(event, context):\n", body)}});
        sandbox_host host;
        auto sandbox = host.start(code);
        EXPECT_TRUE(sandbox->invoke("null").ended());
        const auto exited = host.await_exit(*sandbox);
        EXPECT_EQ(exited.kind, exit_kind::signal);
        EXPECT_EQ(exited.value, SIGSYS);
    }
}

TEST(containment, no_file_can_give_privileges_or_devices) {
    EXPECT_EQ(
        probe("    import shutil, subprocess\n"
              "    shutil.copy('/usr/bin/id', '/tmp/id')\n"
              "    os.chmod('/tmp/id', 0o6755)\n"
              "    return [subprocess.run(['/tmp/id', '-u'], capture_output=True,\n"
              "                           text=True).stdout.strip(),\n"
              "            attempt(lambda: os.mknod('/tmp/n', 0o20666, os.makedev(1, 3)))]\n"),
        R"(["1000","EPERM"])");
}

TEST(containment, tmp_and_shm_end_at_their_limits_in_bytes_and_inodes) {
    create_packet wanted;
    wanted.memory_mb = 512;
    wanted.tmp_bytes = 8 << 20;
    wanted.shm_bytes = 1 << 20;
    const auto done =
        run_function({{"probe.py", probe_module},
                      {"main.py",
                       "from probe import *\n"
                       "def fill(path):\n"
                       "    with open(path, 'wb', buffering=0) as f:\n"
                       "        while True: f.write(b'x' * 4096)\n"
                       "def many():\n"
                       "    for i in range(100_000): open('/tmp/%d' % i, 'w').close()\n"
                       "def handler(event, context):\n"
                       "    import signal\n"
                       "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
                       "    def big():\n"
                       "        fill('/tmp/a')\n"
                       "    one = attempt(big)\n"
                       "    size = os.path.getsize('/tmp/a'); os.unlink('/tmp/a')\n"
                       "    two = attempt(lambda: fill('/dev/shm/a'))\n"
                       "    return [one, size, two, os.path.getsize('/dev/shm/a'),\n"
                       "            attempt(many)]\n"}},
                     "null", default_parameters(), wanted);
    EXPECT_EQ(done.result.payload, R"(["EFBIG",8388608,"ENOSPC",1048576,"ENOSPC"])")
        << done.result.payload << done.output;
}

TEST(containment, files_and_shared_memory_of_one_sandbox_are_not_in_another) {
    const code_directory code({{"main.py",
                                "import os\ndef handler(event, context):\n"
                                "    seen = os.listdir('/tmp') + os.listdir('/dev/shm')\n"
                                "    open('/tmp/mine', 'w'); open('/dev/shm/mine', 'w')\n"
                                "    return seen\n"}});
    sandbox_host host;
    auto first = host.start(code);
    auto second = host.start(code);
    EXPECT_EQ(first->invoke("null").payload, "[]");
    EXPECT_EQ(second->invoke("null").payload, "[]");
    first->close_stream();
    second->close_stream();
}

TEST(containment, walking_up_never_leaves_the_root) {
    EXPECT_EQ(probe("    up = '../' * 40\n"
                    "    return [os.path.exists('/code/' + up + 'etc/shadow'),\n"
                    "            os.path.exists('/proc/self/root/etc/shadow'),\n"
                    "            os.path.exists('/proc/self/cwd/' + up + 'root'),\n"
                    "            os.path.exists('/home'), os.path.exists('/root')]\n"),
              "[false,false,false,false,false]");
}

TEST(containment, limits_and_priorities_cannot_be_raised) {
    // Opening an id map for writing is refused where Landlock knows of truncation (ABI 3), and
    // writing to it everywhere.
    EXPECT_EQ(probe("    import resource\n"
                    "    def raise_limit():\n"
                    "        resource.setrlimit(resource.RLIMIT_NOFILE, (100_000, 100_000))\n"
                    "    def write(path, text):\n"
                    "        with open(path, 'w') as f: f.write(text)\n"
                    "    try:\n"
                    "        raise_limit(); limits = 'ok'\n"
                    "    except ValueError:\n"
                    "        limits = 'refused'\n"
                    "    return [limits, attempt(lambda: os.nice(-5)),\n"
                    "            attempt(lambda: write('/proc/self/oom_score_adj', '0')),\n"
                    "            attempt(lambda: write('/proc/self/uid_map', '0 0 1')) in\n"
                    "                ('EPERM', 'EACCES'),\n"
                    "            resource.getrlimit(resource.RLIMIT_CORE)]\n"),
              R"(["refused","EPERM","EACCES",true,[0,0]])");
}

TEST(containment, abstract_sockets_of_the_host_cannot_be_reached) {
    const unique_fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = concat("hearth-test-", ::getpid());
    name.copy(address.sun_path + 1, name.size());
    const auto size = static_cast<socklen_t>(sizeof address.sun_family + 1 + name.size());
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(probe(concat("    s = socket.socket(socket.AF_UNIX)\n"
                           "    return attempt(lambda: s.connect('\\0",
                           name, "'))\n")),
              "\"ECONNREFUSED\"");
}

}  // namespace
}  // namespace hearth::sandbox::testing
